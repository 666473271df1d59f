using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>
    /// Whether a model needs the heads of a relation (MAPS, section 4.3): its accuracy while they are ablated one after the other, beside as
    /// many random heads (mean, with a band for the standard deviation) and the same heads in control tasks.
    /// </summary>
    /// <param name="ablation">The measured accuracies.</param>
    /// <returns>The chart.</returns>
    public static GenericChart Ablation(HeadAblation ablation)
    {
        ArgumentNullException.ThrowIfNull(ablation);
        var traces = new List<Trace>();
        var runs = ablation.RandomRuns.Count;
        if (runs > 0)
        {
            var random = Enumerable.Range(0, ablation.RandomRuns.Min(run => run.Accuracies.Count)).Select(ablation.RandomAccuracy).ToArray();
            int[] steps = [.. Enumerable.Range(0, random.Length)];

            // One run alone spreads over nothing.
            if (random.All(at => double.IsFinite(at.Deviation)))
            {
                traces.Add(Scatter(new
                {
                    mode = "lines", x = steps.Concat(steps.Reverse()).ToArray(), y = random.Select(at => at.Mean + at.Deviation).Concat(random.Reverse().Select(at => at.Mean - at.Deviation)).ToArray(),
                    fill = "toself", fillcolor = ChartStyle.Tint(1, 0.18), line = Line(new { width = 0, color = ChartStyle.Palette[1] }), hoverinfo = "skip", showlegend = false, legendgroup = "random",
                }));
            }

            traces.Add(Accuracies(
                runs == 1 ? "random heads" : "random heads ± SD", [.. random.Select(at => at.Mean)], 1, null,
                i => runs == 1 ? "" : $" ± {PlotlyText.Number(random[i].Deviation)}", "random"));
        }

        var controls = ablation.Controls.Where(control => control.Accuracies is not null).ToArray();
        traces.AddRange(controls.Select((control, i) =>
            Accuracies("control tasks", [.. control.Accuracies!.Select(a => (double)a)], 7, "dot", _ => $", control {PlotlyText.Spoken(control.Relation)}", "control", showLegend: i == 0)));
        traces.Add(Accuracies("heads of the relation", [.. ablation.Accuracies.Select(a => (double)a)], 0, null, i => i == 0 ? "" : $", last {ablation.Heads[i - 1]}"));
        var last = ablation.Accuracies.Count - 1;
        return Chart(
            traces,
            Figure($"{PlotlyText.Spoken(ablation.Relation)}, {PlotlyText.Escape(ablation.Model)}", 640, 440, new
            {
                hovermode = "closest", xaxis = Axis("heads ablated", new { zeroline = false, showline = true, showgrid = false }),
                yaxis = Axis("accuracy", new { range = new[] { -0.02, 1.02 }, zeroline = false, showline = true }),
            }).LegendAbove("reversed"),
            $"Accuracy of {ablation.Model} for {ablation.Relation} in {ablation.Prompts} prompts while the {(last == 1 ? "output of 1 head is" : $"outputs of {last} heads are")} replaced by {(ablation.Mean ? "their mean" : "zeros")}, strongest first: "
            + $"{PlotlyText.Score(ablation.BaseAccuracy)} before, {PlotlyText.Score(ablation.Accuracies[last])} without all of them"
            + (runs > 0 ? $", {PlotlyText.Score(ablation.RandomAccuracy(Math.Min(last, ablation.RandomRuns.Min(run => run.Accuracies.Count) - 1)).Mean)} without as many random ones ({runs} {(runs == 1 ? "draw" : "draws, with their standard deviation")})" : "")
            + (controls.Length > 0 ? $"; dotted, the same heads in control tasks: {string.Join(", ", controls.Select(control => control.Relation))}" : "") + ".");
    }

    private static Trace2D Accuracies(string name, double[] accuracies, int kind, string? dash, Func<int, string>? note = null, string? group = null, bool showLegend = true)
    {
        var (color, dots) = (ChartStyle.Palette[kind % ChartStyle.Palette.Count], accuracies.Length <= 40 && dash is null);
        return Scatter(new
        {
            name, legendgroup = group, showlegend = showLegend, mode = dots ? "lines+markers" : "lines",
            x = Enumerable.Range(0, accuracies.Length).ToArray(), y = accuracies.Select(Finite).ToArray(), cliponaxis = dots ? (object)false : null,
            line = Line(new { color, width = 2, dash }), marker = dots ? Marker(new { color, size = 6 }) : null,
        }).Telling(accuracies.Select((accuracy, i) => $"{name}<br>{i} ablated{note?.Invoke(i)}<br>accuracy {PlotlyText.Number(accuracy)}").ToArray());
    }
}
