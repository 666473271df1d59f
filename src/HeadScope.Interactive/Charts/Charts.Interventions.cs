using Plotly.NET;
using static HeadScope.PlotlyObject;
using Spread = (double Mean, double StandardDeviation);

namespace HeadScope;

public static partial class Charts
{
    /// <summary>What changing a signal does: above the logit difference, below the attention score at each edge, before, after, and with random directions
    /// changed instead; means over the prompts that were changed, with their standard deviation.</summary>
    /// <param name="result">The measurements.</param>
    /// <param name="edges">How many edges are shown at most; the caption says of how many.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No edge is to be shown.</exception>
    public static GenericChart Interventions(Intervention result, int edges = 8)
    {
        ArgumentNullException.ThrowIfNull(result);
        ArgumentOutOfRangeException.ThrowIfLessThan(edges, 1);
        var shown = Math.Min(edges, result.Edges.Count);
        var scores = Enumerable.Range(0, shown).Select(result.Score).ToArray();
        var (before, after, control) = result.LogitDifference();
        (string Name, Spread Logit, Spread[] Scores)[] states =
        [
            ("before", before, [.. scores.Select(score => score.Before)]), ("after", after, [.. scores.Select(score => score.After)]),
            ("random directions instead", control, [.. scores.Select(score => score.Control)]),
        ];
        var labels = result.Edges.Take(shown).Select(edge => PlotlyText.Escape($"{PlotlyText.Component(edge.Sender ?? "all")} → {edge.Receiver}")
            + $"<br>{PlotlyText.Escape($"{edge.DestinationRole} to {edge.SourceRole}, {(edge.Side == SignalSide.Source ? "source" : "destination")}")}").ToArray();
        var title = $"Signals of {result.Edges.Count} {(result.Edges.Count == 1 ? "edge" : "edges")} {result.Factor switch { 0 => "removed", > 1 => "boosted", _ => "scaled" }} "
            + $"{(result.Local ? "at the receiver" : "everywhere")}, {result.Model}";

        // A row of the upper panel is as high as one of the lower.
        var (part, gap) = (1.0 / (shown + 2), 0.8 / (shown + 2));
        return Chart(
            states.SelectMany((state, i) => new[]
            {
                Group(state.Name, [state.Logit], ["logit difference"], i, 0), Group(state.Name, state.Scores, labels, i, 1),
            }),
            Figure(PlotlyText.Escape(title), 640, ((shown + 2) * 64) + 150, new { barmode = "group", bargap = 0.2 }).LegendAbove().Panels(
                new(null, (0, 1), (1 - part, 1), Axis("logits", new { zeroline = true }), Labelled(null, ["logit difference"], reversed: true)),
                new(null, (0, 1), (0, 1 - part - gap), Axis("attention score", new { zeroline = true }), Labelled(null, labels, reversed: true))),
            result + (shown < result.Edges.Count ? $"; {shown} of {result.Edges.Count} edges are shown" : "") + ".",
            new PaperLayout(shown + 2, 8));
    }

    private static Trace2D Group(string name, Spread[] spreads, string[] labels, int state, int panel) => Bars(
        spreads.Select(spread => spread.Mean),
        [.. spreads.Select((spread, i) => $"{labels[i]}<br>{name} {PlotlyText.Number(spread.Mean)} ± {PlotlyText.Number(spread.StandardDeviation)}")],
        new
        {
            name, legendgroup = name, showlegend = panel == 0, marker = Marker(new { color = ChartStyle.Palette[state] }), error_x = Spread(spreads.Select(spread => spread.StandardDeviation)),
        }).In(panel);
}
