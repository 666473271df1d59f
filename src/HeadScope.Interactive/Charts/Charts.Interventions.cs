using Plotly.NET;
using Plotly.NET.TraceObjects;
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
            states.SelectMany((state, i) => new Trace[]
            {
                Group(state.Name, [state.Logit], ["logit difference"], i, "", showlegend: true), Group(state.Name, state.Scores, labels, i, "2", showlegend: false),
            }),
            new Layout().With(new
            {
                title = Title(PlotlyText.Escape(title)), width = 640, height = ((shown + 2) * 64) + 150, barmode = "group", margin = new Plotly.NET.LayoutObjects.Margin().With(new { t = 84 }), bargap = 0.2, legend = new { orientation = "h", x = 0, y = 1.02, yanchor = "bottom" },
                xaxis = Axis(new { title = Title("logits"), anchor = "y", zeroline = true }),
                yaxis = Labelled(null, ["logit difference"], reversed: true).With(new { domain = new[] { 1 - part, 1 } }),
                xaxis2 = Axis(new { title = Title("attention score"), anchor = "y2", zeroline = true }),
                yaxis2 = Labelled(null, labels, reversed: true).With(new { domain = new[] { 0, 1 - part - gap }, anchor = "x2" }),
            }),
            result + (shown < result.Edges.Count ? $"; {shown} of {result.Edges.Count} edges are shown" : "") + ".",
            new PaperLayout(shown + 2, 8));
    }

    private static Trace Group(string name, Spread[] spreads, string[] labels, int state, string panel, bool showlegend) => Bar(new
    {
        name, legendgroup = name, showlegend, orientation = "h", xaxis = $"x{panel}", yaxis = $"y{panel}", marker = Marker(new { color = ChartStyle.Palette[state] }),
        x = spreads.Select(spread => Finite(spread.Mean)).ToArray(), y = Enumerable.Range(0, spreads.Length).ToArray(),
        error_x = new Error().With(new { type = "data", array = spreads.Select(spread => double.IsFinite(spread.StandardDeviation) ? spread.StandardDeviation : 0).ToArray(), thickness = 1.2, width = 3 }),
        hovertext = spreads.Select((spread, i) => $"{labels[i]}<br>{name} {PlotlyText.Number(spread.Mean)} ± {PlotlyText.Number(spread.StandardDeviation)}").ToArray(), hovertemplate = "%{hovertext}<extra></extra>",
    });
}
