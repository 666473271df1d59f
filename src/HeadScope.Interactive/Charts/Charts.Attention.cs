using System.Globalization;
using Plotly.NET;
using Plotly.NET.LayoutObjects;
using static HeadScope.PlotlyObject;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>Where each token attends to at one head.</summary>
    /// <param name="pattern">The pattern, [query, key]; rows sum to 1.</param>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="title">What is shown, such as <c>Head 3.5</c>; any text.</param>
    /// <returns>The chart; later tokens, which cannot be attended to, are gaps.</returns>
    /// <exception cref="ArgumentException">The pattern has another shape, or another number of positions than there are tokens.</exception>
    public static GenericChart AttentionPattern(Tensor pattern, IReadOnlyList<string> tokens, string title = "Attention")
    {
        ArgumentNullException.ThrowIfNull(title);
        var cells = Patterns(pattern, tokens, heads: false)[0];
        var labels = tokens.Select(token => Short(token)).ToArray();
        var side = Math.Clamp(tokens.Count * 22, 280, 720);
        return Chart(
            [
                Cells(cells, 0, 1, ChartStyle.Sequential, new
                {
                    colorbar = ColorBar("attention"), customdata = tokens.Select(query => tokens.Select(key => $"{PlotlyText.Token(query)} attends to {PlotlyText.Token(key)}").ToArray()).ToArray(),
                    hovertemplate = "%{customdata}<br>attention %{z:.3f}<extra></extra>",
                }),
            ],
            Figure(PlotlyText.Escape(title), side + 230, side + 170, new
            {
                xaxis = Labelled("attended to (key)", labels, angle: -90).With(new { tickfont = Tokens(), constrain = "domain" }),
                yaxis = Labelled("attending (query)", labels, reversed: true).With(new { tickfont = Tokens(), scaleanchor = "x", constrain = "domain" }),
            }),
            $"{title}: attention of {tokens.Count} tokens; rows attend to columns. {Strongest(cells)}",
            new PaperLayout(Ratio: 0.78));

        string Strongest(double[][] rows)
        {
            var (query, key, value) = rows.SelectMany((row, query) => row.Select((value, key) => (query, key, value))).Where(cell => cell.key > 0 && double.IsFinite(cell.value)).DefaultIfEmpty().MaxBy(cell => cell.value);
            return key > 0 ? $"Beside the first token, most is {PlotlyText.Score(value)}, from '{tokens[query]}' to '{tokens[key]}'." : "";
        }
    }

    /// <summary>Where each token attends to at every head of a layer: a small pattern for each.</summary>
    /// <param name="patterns">The patterns, [head, query, key], or [1, head, query, key] as a forward pass has them under <c>blocks.1.attn.hook_pattern</c>.</param>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="layer">The layer, for the names of the heads; 1 names them <c>1.0</c>, <c>1.1</c> and so on.</param>
    /// <param name="title">What is shown; any text.</param>
    /// <returns>The chart; later tokens, which cannot be attended to, are gaps.</returns>
    /// <exception cref="ArgumentException">The patterns have another shape, or another number of positions than there are tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The layer is negative.</exception>
    public static GenericChart AttentionHeads(Tensor patterns, IReadOnlyList<string> tokens, int layer, string title = "")
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        var heads = Patterns(patterns, tokens, heads: true);
        var (columns, n) = (TilesAbreast(heads.Count), tokens.Count);
        var rows = (heads.Count + columns - 1) / columns;

        // Every head has its place on the same two axes, with room for its name above it; labels of ticks are not drawn, but hovering tells them.
        var (wide, high) = (n + Math.Max(1, (int)Math.Round(0.1 * n)), n + Math.Max(2, (int)Math.Ceiling(0.12 * n * Math.Max(2, columns / 2.0))));
        var (right, bottom, top) = ((columns * wide) - 0.5 - (wide - n), (rows * high) - 0.5 - (high - n), n - high - 0.5);
        var labels = tokens.Select(PlotlyText.Token).ToArray();
        var text = title.Length > 0 ? title : string.Create(CultureInfo.InvariantCulture, $"Attention of the heads of layer {layer}");
        Annotation Beside(string words, double x, double y, string xanchor, string yanchor, int textangle) => new Annotation().With(new
        {
            text = words, x, y, xanchor, yanchor, textangle, showarrow = false, borderpad = 2, xref = "x", yref = "y", font = Font(new { size = 11 }),
        });
        LinearAxis Positions(int tiles, int step, double[] range) => Axis(null, new
        {
            showgrid = false, zeroline = false, showticklabels = false, ticks = "", showline = false, range, constrain = "domain",
            tickvals = Enumerable.Range(0, tiles).SelectMany(tile => Enumerable.Range(0, n).Select(i => (tile * step) + i)).ToArray(),
            ticktext = Enumerable.Repeat(labels, tiles).SelectMany(all => all).ToArray(),
        });
        (int X, int Y, string Name)[] tiles = [.. heads.Select((_, h) => (h % columns * wide, h / columns * high, new Head(layer, h).ToString()))];
        var size = Math.Clamp(740 / columns, 110, 300);
        return Chart(
            heads.Select((cells, h) => Cells(cells, 0, 1, ChartStyle.Sequential, new
            {
                name = tiles[h].Name, x0 = tiles[h].X, dx = 1, y0 = tiles[h].Y, dy = 1, xgap = 0, ygap = 0, showscale = h == 0, colorbar = h == 0 ? ColorBar("attention").With(new { len = 0.5 }) : null,
                hovertemplate = $"head {tiles[h].Name}<br>%{{y}} attends to %{{x}}<br>attention %{{z:.3f}}<extra></extra>",
            })).Append(Texts(tiles.Select(tile => (tile.X - 0.5, tile.Y - 0.5, tile.Name)), "top right", Font(new { size = 11 }))),
            Figure(PlotlyText.Escape(text), (size * columns) + 180, (size * rows * high / wide) + 130, new
            {
                showlegend = false, xaxis = Positions(columns, wide, [-0.5, right]), yaxis = Positions(rows, high, [bottom, top]).With(new { scaleanchor = "x" }),
                annotations = new[] { Beside("attended to (key)", (right - 0.5) / 2, bottom, "center", "top", 0), Beside("attending (query)", -0.5, (bottom + top) / 2, "right", "middle", -90) },
            }),
            $"{text}: {heads.Count} heads, each over the same {n} tokens in order; rows attend to columns.",
            new PaperLayout(Ratio: Math.Round((0.93 * rows * high / (columns * wide)) - 0.09, 3)));
    }

    // Few enough abreast that each can be seen at the width of a column.
    private static int TilesAbreast(int count) => count <= 4 ? count : count <= 12 ? (count + 2) / 3 : Math.Min(8, (int)Math.Ceiling(Math.Sqrt(count)));

    // The patterns of heads, NaN behind the diagonal: what lies after a token cannot be attended to, and a gap says so better than a 0.
    private static IReadOnlyList<double[][]> Patterns(Tensor pattern, IReadOnlyList<string> tokens, bool heads)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var n = tokens.Count;
        return [.. PatternNumbers(pattern, n, heads).Chunk(n * n).Select(head => head.Chunk(n).Select((row, query) => row.Select((value, key) => key > query ? double.NaN : Math.Round(value, 4)).ToArray()).ToArray())];
    }

    /// <summary>The numbers of one pattern, [query, key], or of those of several heads, [head, query, key]; axes of length 1 may stand before.</summary>
    /// <exception cref="ArgumentException">The shape is another.</exception>
    internal static float[] PatternNumbers(Tensor pattern, int tokens, bool heads)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var (lengths, axes) = (pattern.shape, heads ? 3 : 2);
        var fits = tokens > 0 && lengths.Length >= axes && lengths[..^axes].All(length => length == 1) && lengths[^1] == tokens && lengths[^2] == tokens && lengths[^axes] > 0;
        Fault.ArgumentIf(
            !fits, $"{(heads ? "Patterns" : "A pattern")} of {tokens} tokens {(heads ? "have" : "has")} the shape [{(heads ? "head, " : "")}{tokens}, {tokens}]; found [{string.Join(", ", lengths)}]. "
            + $"Choose {(heads ? "one sequence" : "one head")}, and cut padding off first.");
        return pattern.Copied<float>();
    }

    // A token beside an axis; the whole is told where the pointer is.
    private static string Short(string token) => Short(PlotlyText.Dotted(token), 14);

    private static string Short(string text, int letters)
    {
        var elements = new StringInfo(text);
        return PlotlyText.Escape(elements.LengthInTextElements <= letters ? text : elements.SubstringByTextElements(0, letters - 1) + "…");
    }
}
