using Plotly.NET;
using Plotly.NET.LayoutObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>How the training of a Lorsa went over tokens: explained variance (training and held-out), loss, and silent heads.</summary>
    /// <param name="report">The training.</param>
    /// <param name="reference">A curve to compare with, as tokens and explained variance; null for none.</param>
    /// <returns>The chart, three panels.</returns>
    public static GenericChart TrainingCurves(LorsaTrainingReport report, IReadOnlyList<(long Tokens, double ExplainedVariance)>? reference = null)
    {
        ArgumentNullException.ThrowIfNull(report);
        var curve = report.Curve;
        var heldOut = curve.Where(point => point.HeldOutExplainedVariance is not null).ToArray();
        var traces = new List<Trace> { Curve("training", curve.Select(point => (point.Tokens, point.ExplainedVariance)), 0, 0) };
        if (heldOut.Length > 0)
        {
            traces.Add(Curve("held out", heldOut.Select(point => (point.Tokens, point.HeldOutExplainedVariance!.Value)), 0, 1).With(new { mode = "lines+markers", marker = Marker(new { color = ChartStyle.Palette[1], size = 6 }) }));
        }

        if (reference is { Count: > 0 })
        {
            traces.Add(Curve("reference", reference, 0, 0).With(new { line = Line(new { color = ChartStyle.Muted, width = 2, dash = "dash" }) }));
        }

        var several = traces.Count > 1;
        traces.Add(Curve("loss", curve.Select(point => (point.Tokens, point.Loss)), 1, 2));
        traces.Add(Curve("silent heads", curve.Select(point => (point.Tokens, (double)point.SilentHeads)), 2, 3));
        return Chart(
            traces,
            Figure("Training of a Lorsa", 1000, 400, new { hovermode = "closest", showlegend = several }).LegendAbove().Panels(
                new[] { "explained variance", "loss", "silent heads" }.Select((name, i) => new Panel(null, (0.37 * i, (0.37 * i) + 0.26), (0, 1), Shown("tokens", 5), Shown(name, 6)))),
            curve.Count == 0
                ? "Training of a Lorsa: no steps."
                : $"Training of a Lorsa over {PlotlyText.Count(curve[^1].Tokens)} tokens: explained variance {PlotlyText.Score(curve[^1].ExplainedVariance)} at the end"
                    + $"{(report.HeldOut is { } end ? $", {PlotlyText.Score(end.ExplainedVariance)} on held-out tokens" : "")}; loss {PlotlyText.Number(curve[^1].Loss)}; {PlotlyText.Count(curve[^1].SilentHeads)} silent heads.",
            new PaperLayout(Ratio: 0.36));
    }

    private static LinearAxis Shown(string title, int nticks) => Axis(title, new { zeroline = false, showline = true, nticks });

    private static Trace2D Curve(string name, IEnumerable<(long X, double Y)> points, int panel, int color) => Scatter(new
    {
        name, mode = "lines", x = points.Select(point => point.X).ToArray(), y = points.Select(point => Finite(point.Y)).ToArray(), showlegend = panel == 0,
        line = Line(new { color = ChartStyle.Palette[color], width = 2 }), hovertemplate = $"{name}<br>%{{x:,.0f}} tokens<br>%{{y:.4f}}<extra></extra>",
    }).In(panel);
}
