namespace HeadScope;

public static partial class Figures
{
    /// <summary>How strongly two models implement the same relations: the score of each model's strongest head, a point for each relation.</summary>
    /// <param name="comparison">The comparison.</param>
    /// <returns>The figure.</returns>
    public static Figure Comparison(MapComparison comparison)
    {
        ArgumentNullException.ThrowIfNull(comparison);
        return Points(
            [
                .. comparison.Relations.Select(relation => (
                    $"{relation.Relation.Replace('_', ' ')} ({relation.First.Strongest.Head}, {relation.Second.Strongest.Head})",
                    (double)relation.First.Strongest.Score,
                    (double)relation.Second.Strongest.Score)),
            ],
            $"Strongest heads of {comparison.Relations.Count} relations",
            comparison.First,
            comparison.Second,
            $"{comparison.Shared.Count} {(comparison.Shared.Count == 1 ? "relation reaches" : "relations reach")} {Notebooks.Plotly.PlotlyText.Number(comparison.Threshold)} in both",
            labelled: 6);
    }
}
