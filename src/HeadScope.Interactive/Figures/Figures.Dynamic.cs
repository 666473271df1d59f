namespace HeadScope;

public static partial class Figures
{
    /// <summary>Whether heads do what their parameters say they could: dynamic against static scores of one relation, with Pearson's r (MAPS, section 4.2).</summary>
    /// <param name="scores">The scores.</param>
    /// <param name="context">Whether the dynamic scores are those with context.</param>
    /// <param name="suppression">Whether suppression scores are shown instead of relation scores.</param>
    /// <returns>The figure; a point for every head and template.</returns>
    public static Figure DynamicStatic(DynamicScores scores, bool context = false, bool suppression = false)
    {
        ArgumentNullException.ThrowIfNull(scores);
        var r = scores.Correlate(context, suppression);
        var rows = scores.Table.Rows;
        var kind = suppression ? "suppression score" : "relation score";
        return Points(
            [
                .. rows.Select(row => (
                    $"head {new Head((int)row["layer"], (int)row["head"])}",
                    (double)(float)row[suppression ? "static_suppression" : "static_score"],
                    (double)(float)row[$"{(suppression ? "suppression" : "score")}_{(context ? "with" : "without")}_context"])),
            ],
            $"{scores.Relation.Replace('_', ' ')}, {(context ? "with" : "without")} context",
            $"static {kind}",
            $"dynamic {kind}",
            r.ToString(),
            labelled: 0);
    }
}
