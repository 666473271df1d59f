namespace HeadScope;

public static partial class Figures
{
    /// <summary>
    /// Whether a model needs the heads of a relation (MAPS, section 4.3): its accuracy while they are ablated one after the other, beside as
    /// many random heads (mean, with a band for the standard deviation) and the same heads in control tasks.
    /// </summary>
    /// <param name="ablation">The measured accuracies.</param>
    /// <returns>The figure.</returns>
    public static Figure Ablation(HeadAblation ablation)
    {
        ArgumentNullException.ThrowIfNull(ablation);
        static double[] Steps(int count) => [.. Enumerable.Range(0, count).Select(i => (double)i)];
        static double[] Heights(IReadOnlyList<float> accuracies) => [.. accuracies.Select(accuracy => (double)accuracy)];
        var lines = new List<LineSeries> { new("heads of the relation", Steps(ablation.Accuracies.Count), Heights(ablation.Accuracies)) };
        if (ablation.RandomRuns.Count > 0)
        {
            var count = ablation.RandomRuns.Min(run => run.Accuracies.Count);
            var random = Enumerable.Range(0, count).Select(ablation.RandomAccuracy).ToArray();
            lines.Add(new LineSeries("random heads", Steps(count), [.. random.Select(r => r.Mean)]) { Spread = [.. random.Select(r => r.Deviation)] });
        }

        lines.AddRange(ablation.Controls.Where(control => control.Accuracies is not null).Select(control =>
            new LineSeries($"control: {control.Relation.Replace('_', ' ')}", Steps(control.Accuracies!.Count), Heights(control.Accuracies)) { IsReference = true }));
        return Lines(
            lines,
            $"{ablation.Relation.Replace('_', ' ')}, {ablation.Model}, {ablation.Prompts} prompts",
            "ablated heads",
            "accuracy");
    }
}
