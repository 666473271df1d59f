using HeadScope.Notebooks.Plotly;
using Spread = (double Mean, double StandardDeviation);

namespace HeadScope;

public static partial class Figures
{
    /// <summary>
    /// What changing a signal does: the logit difference and the attention score at each edge before, after, and with random directions changed
    /// instead; means over the prompts that were changed, with their standard deviation.
    /// </summary>
    /// <param name="result">The measurements.</param>
    /// <param name="edges">How many edges are shown at most.</param>
    /// <returns>The figure.</returns>
    public static Figure Interventions(Intervention result, int edges = 8)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentOutOfRangeException.ThrowIfLessThan(edges, 1);
        var shown = Math.Min(edges, result.Edges.Count);
        var scores = Enumerable.Range(0, shown).Select(result.Score).ToArray();
        var (before, after, control) = result.LogitDifference();
        (string Name, Spread Logit, Spread[] Scores)[] states =
        [
            ("before", before, [.. scores.Select(score => score.Before)]),
            ("after", after, [.. scores.Select(score => score.After)]),
            ("random directions instead", control, [.. scores.Select(score => score.Control)]),
        ];
        var labels = result.Edges.Take(shown).Select(edge => PlotlyText.Escape($"{edge.Sender ?? "all"} → {edge.Receiver}")).ToArray();
        var traces = states.SelectMany((state, i) => new Trace[]
        {
            Group(state.Name, ["logit difference"], [state.Logit], FigureStyle.Light.Palette[i]),
            Group(state.Name, labels, state.Scores, FigureStyle.Light.Palette[i]) with { XAxis = "x2", YAxis = "y2", ShowLegend = false },
        }).ToArray();
        var verb = result.Factor switch { 0 => "removed", > 1 => "boosted", _ => "scaled" };
        var title = $"Signals of {result.Edges.Count} {(result.Edges.Count == 1 ? "edge" : "edges")} {verb} {(result.Local ? "at the receiver" : "everywhere")}";
        return new Figure(
            traces,
            new Layout
            {
                Title = PlotlyText.Escape($"{title}, {result.Model}"),
                Width = 420 + (shown * 90),
                Height = 420,
                BarMode = "group",
                BarGap = 0.25,
                ShowLegend = true,
                Legend = new Legend { Orientation = "h", X = 0, Y = 1.02, YAnchor = "bottom" },
                Margin = new Margin { T = 84 },
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { Domain = [0, 0.28] },
                    ["y"] = new() { Title = "logits", ZeroLine = true },
                    ["x2"] = new() { Domain = [0.42, 1], Anchor = "y2" },
                    ["y2"] = new() { Title = "attention score", Anchor = "x2", ZeroLine = true },
                },
            },
            result.ToString());
    }

    private static Bar Group(string name, string[] labels, Spread[] spreads, string color) => new()
    {
        Name = name,
        LegendGroup = name,
        X = labels,
        Y = spreads.Select(spread => spread.Mean).ToArray(),
        ErrorY = new ErrorBars { Array = spreads.Select(spread => double.IsFinite(spread.StandardDeviation) ? spread.StandardDeviation : 0).ToArray(), Thickness = 1.2, Width = 3 },
        Marker = new Marker { Color = color },
        HoverTemplate = $"%{{x}}, {name}<br>%{{y:.3f}} ± %{{error_y.array:.3f}}<extra></extra>",
    };
}
