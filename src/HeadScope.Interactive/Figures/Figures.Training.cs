using HeadScope.Notebooks.Plotly;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>How the training of a Lorsa went: explained variance (training and held-out), loss, and silent heads over tokens.</summary>
    /// <param name="report">The training.</param>
    /// <param name="reference">A curve to compare with, as tokens and explained variance; null for none.</param>
    /// <returns>The figure.</returns>
    public static Figure TrainingCurves(LorsaTrainingReport report, IReadOnlyList<(long Tokens, double ExplainedVariance)>? reference = null)
    {
        ArgumentNullException.ThrowIfNull(report);
        var style = FigureStyle.Light;
        var curve = report.Curve;
        var tokens = curve.Select(point => (double)point.Tokens).ToArray();
        var heldOut = curve.Where(point => point.HeldOutExplainedVariance is not null).ToArray();
        var traces = new List<Trace>
        {
            Curve("training", tokens, [.. curve.Select(point => point.ExplainedVariance)], style.Palette[0], "y"),
        };
        if (heldOut.Length > 0)
        {
            traces.Add(Curve(
                "held out", [.. heldOut.Select(point => (double)point.Tokens)], [.. heldOut.Select(point => point.HeldOutExplainedVariance!.Value)],
                style.Palette[1], "y") with { Mode = "lines+markers" });
        }

        if (reference is { Count: > 0 })
        {
            traces.Add(Curve(
                "reference", [.. reference.Select(point => (double)point.Tokens)], [.. reference.Select(point => point.ExplainedVariance)],
                style.Muted, "y") with { Line = new Line { Color = style.Muted, Width = 2, Dash = "dash" } });
        }

        traces.Add(Curve("loss", tokens, [.. curve.Select(point => point.Loss)], style.Palette[2], "y2") with { ShowLegend = false });
        traces.Add(Curve("silent heads", tokens, [.. curve.Select(point => (double)point.SilentHeads)], style.Palette[3], "y3") with { ShowLegend = false });
        Axis Panel(string title, double from, double to) => new() { Title = title, Domain = [from, to], ZeroLine = false, ShowLine = true };
        return new Figure(
            traces,
            new Layout
            {
                Title = "Training of a Lorsa",
                Width = 700,
                Height = 640,
                HoverMode = "closest",
                ShowLegend = true,
                Legend = new Legend { Orientation = "h", X = 0, Y = 1.02, YAnchor = "bottom" },
                Margin = new Margin { T = 96 },
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { Title = "tokens", ZeroLine = false, ShowLine = true, Anchor = "y3" },
                    ["y"] = Panel("explained variance", 0.56, 1),
                    ["y2"] = Panel("loss", 0.28, 0.5),
                    ["y3"] = Panel("silent heads", 0, 0.22),
                },
            },
            curve.Count == 0
                ? "Training of a Lorsa: no steps."
                : $"Training of a Lorsa over {Count(curve[^1].Tokens)} tokens: explained variance {Score(curve[^1].ExplainedVariance)} at the end"
                    + $"{(report.HeldOut is { } end ? $", {Score(end.ExplainedVariance)} on held-out tokens" : "")}.");
    }

    private static Scatter Curve(string name, double[] x, double[] y, string color, string axis) => new()
    {
        Name = name,
        Mode = "lines",
        X = x,
        Y = y,
        YAxis = axis,
        Line = new Line { Color = color, Width = 2 },
        Marker = new Marker { Color = color, Size = 6 },
        HoverTemplate = $"{name}<br>%{{x:,.0f}} tokens<br>%{{y:.4f}}<extra></extra>",
    };
}
