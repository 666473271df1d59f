namespace HeadScope;

public static partial class Figures
{
    /// <summary>How strongly two models implement the same relations: the score of each model's strongest head, a point for each relation.</summary>
    /// <param name="first">The map of one model.</param>
    /// <param name="second">The map of the other.</param>
    /// <param name="threshold">A head counts as implementing a relation from this score on.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">A map is only a part, or a relation was scored with different k.</exception>
    public static Figure Comparison(HeadMap first, HeadMap second, double threshold = 0.3)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        var rows = HeadScope.HeadMap.Compare(first, second, threshold).Rows;
        var shared = rows.Count(row => (int)row["first_heads"] > 0 && (int)row["second_heads"] > 0);
        return Points(
            [
                .. rows.Select(row => (
                    $"{((string)row["relation"]).Replace('_', ' ')} ({row["first_strongest_head"]}, {row["second_strongest_head"]})",
                    (double)(float)row["first_score"],
                    (double)(float)row["second_score"])),
            ],
            $"Strongest heads of {rows.Count} relations",
            first.Model,
            second.Model,
            $"{shared} {(shared == 1 ? "relation reaches" : "relations reach")} {Notebooks.Plotly.PlotlyText.Number(threshold)} in both",
            labelled: 6);
    }
}
