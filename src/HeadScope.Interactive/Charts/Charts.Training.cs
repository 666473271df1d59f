using Plotly.NET;
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
        var traces = new List<Trace> { Curve("training", curve.Select(point => (point.Tokens, point.ExplainedVariance)), "", ChartStyle.Palette[0]) };
        if (heldOut.Length > 0)
        {
            traces.Add(Curve("held out", heldOut.Select(point => (point.Tokens, point.HeldOutExplainedVariance!.Value)), "", ChartStyle.Palette[1]).With(new { mode = "lines+markers", marker = Marker(new { color = ChartStyle.Palette[1], size = 6 }) }));
        }

        if (reference is { Count: > 0 })
        {
            traces.Add(Curve("reference", reference, "", ChartStyle.Muted).With(new { line = Line(new { color = ChartStyle.Muted, width = 2, dash = "dash" }) }));
        }

        traces.Add(Curve("loss", curve.Select(point => (point.Tokens, point.Loss)), "2", ChartStyle.Palette[2]).With(new { showlegend = false }));
        traces.Add(Curve("silent heads", curve.Select(point => (point.Tokens, (double)point.SilentHeads)), "3", ChartStyle.Palette[3]).With(new { showlegend = false }));
        var layout = new Layout().With(new
        {
            title = Title("Training of a Lorsa"), width = 1000, height = 400, hovermode = "closest", showlegend = traces.Count > 3, legend = new { orientation = "h", x = 0, y = 1.02, yanchor = "bottom" }, margin = new { t = 96 },
        });
        foreach (var (id, name, left) in new[] { ("", "explained variance", 0.0), ("2", "loss", 0.37), ("3", "silent heads", 0.74) })
        {
            layout.SetProperty($"xaxis{id}", Axis(new { title = Title("tokens"), domain = new[] { left, left + 0.26 }, anchor = $"y{id}", zeroline = false, showline = true, nticks = 5 }));
            layout.SetProperty($"yaxis{id}", Axis(new { title = Title(name), anchor = $"x{id}", zeroline = false, showline = true, nticks = 6 }));
        }

        return Chart(
            traces, layout,
            curve.Count == 0
                ? "Training of a Lorsa: no steps."
                : $"Training of a Lorsa over {PlotlyText.Count(curve[^1].Tokens)} tokens: explained variance {PlotlyText.Score(curve[^1].ExplainedVariance)} at the end"
                    + $"{(report.HeldOut is { } end ? $", {PlotlyText.Score(end.ExplainedVariance)} on held-out tokens" : "")}; loss {PlotlyText.Number(curve[^1].Loss)}; {PlotlyText.Count(curve[^1].SilentHeads)} silent heads.",
            new PaperLayout(Ratio: 0.36));
    }

    private static Trace2D Curve(string name, IEnumerable<(long X, double Y)> points, string id, string color)
    {
        (long X, double Y)[] all = [.. points];
        return Scatter(new
        {
            name, mode = "lines", x = all.Select(point => point.X).ToArray(), y = all.Select(point => Finite(point.Y)).ToArray(), xaxis = $"x{id}", yaxis = $"y{id}",
            line = Line(new { color, width = 2 }), hovertemplate = $"{name}<br>%{{x:,.0f}} tokens<br>%{{y:.4f}}<extra></extra>",
        });
    }
}
