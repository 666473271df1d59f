using HeadScope.Notebooks.Plotly;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>Where each token attends to: one head's attention pattern, or those of several heads behind a chooser.</summary>
    /// <param name="pattern">
    /// The pattern, [query, key], or [head, query, key], or [1, head, query, key] as a forward pass has it under
    /// <c>blocks.0.attn.hook_pattern</c>.
    /// </param>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="title">What is shown, such as <c>Head 3.5</c>.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">The pattern has another shape, or another number of positions than there are tokens.</exception>
    public static Figure AttentionPattern(Tensor pattern, IReadOnlyList<string> tokens, string title = "Attention")
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ArgumentNullException.ThrowIfNull(tokens);
        var lengths = pattern.shape;
        if (lengths.Length is < 2 or > 4 || lengths[^1] != tokens.Count || lengths[^2] != tokens.Count || (lengths.Length == 4 && lengths[0] != 1))
        {
            throw new ArgumentException(
                $"A pattern of {tokens.Count} tokens has the shape [{tokens.Count}, {tokens.Count}], with the heads before it when there are several; "
                + $"found [{string.Join(", ", lengths)}]. Cut a batch or padding off first.",
                nameof(pattern));
        }

        var n = tokens.Count;
        var flat = Grid.Numbers(pattern);
        var heads = flat.Length / Math.Max(1, n * n);
        var labels = tokens.Select(PlotlyText.Token).ToArray();
        var traces = Enumerable.Range(0, heads).Select(Trace (head) =>
        {
            // What lies after a token cannot be attended to; a gap says so better than a 0.
            var cells = flat.AsSpan(head * n * n, n * n).ToArray();
            var text = new string[n][];
            for (var query = 0; query < n; query++)
            {
                text[query] = new string[n];
                for (var key = 0; key < n; key++)
                {
                    text[query][key] = $"{labels[query]} attends to {labels[key]}";
                    if (key > query)
                    {
                        cells[(query * n) + key] = float.NaN;
                    }
                }
            }

            return new HeatMap
            {
                Name = $"head {head}",
                ShowLegend = heads > 1,
                Z = new Grid(n, n, cells),
                ZMin = 0,
                ZMax = 1,
                ColorScale = ColorScale.Sequential,
                ColorBar = new ColorBar { Title = "attention", Thickness = 12, OutlineWidth = 0 },
                Text = text,
                HoverTemplate = "%{text}<br>%{z:.3f}<extra></extra>",
                HoverOnGaps = false,
                XGap = n > 40 ? 0 : 1,
                YGap = n > 40 ? 0 : 1,
            };
        }).ToArray();
        var side = Math.Clamp(n * 22, 280, 720);
        return new Figure(
            traces,
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = side + 230,
                Height = side + 170,
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = Labelled("attended to (key)", labels, angle: -60) with { TickFont = new Font { Family = FigureStyle.Monospace, Size = 11 }, Constrain = "domain" },
                    ["y"] = Labelled("attending (query)", labels, reversed: true) with
                    {
                        TickFont = new Font { Family = FigureStyle.Monospace, Size = 11 },
                        ScaleAnchor = "x",
                        Constrain = "domain",
                    },
                },
                ShowLegend = heads > 1,
                Legend = heads > 1 ? ChoosingLegend("head") : null,
            },
            $"{title}: attention of {n} tokens{(heads > 1 ? $" at {heads} heads" : "")}; rows attend to columns.")
        {
            Choices = heads > 1 ? [.. traces.Select((trace, h) => new Choice($"head {h}", [.. traces.Select((_, t) => t == h)]))] : [],
        };
    }
}
