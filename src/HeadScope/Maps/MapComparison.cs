namespace HeadScope;

/// <summary>How two models implement the same relations: how strongly, with how many heads, and how deep (arXiv 2412.11965, section 4.4).</summary>
/// <param name="First">The first model.</param>
/// <param name="Second">The second model.</param>
/// <param name="Threshold">A head counts as implementing a relation from this score on.</param>
/// <param name="Relations">The relations that both maps have.</param>
/// <param name="OnlyFirst">The relations that only the first has.</param>
/// <param name="OnlySecond">The relations that only the second has.</param>
public sealed record MapComparison(
    string First,
    string Second,
    double Threshold,
    IReadOnlyList<RelationComparison> Relations,
    IReadOnlyList<string> OnlyFirst,
    IReadOnlyList<string> OnlySecond)
{
    /// <summary>The relations that both models implement: each has a head at or above the threshold.</summary>
    public IReadOnlyList<RelationComparison> Shared => [.. Relations.Where(r => r.First.Heads > 0 && r.Second.Heads > 0)];

    /// <summary>The comparison as CSV, a line for each relation.</summary>
    /// <returns>The columns relation, category, and for each model pairs, strongest head, its score and depth, heads, mean depth.</returns>
    public string ToCsv()
    {
        static object[] Half(RelationStrength s) =>
            [s.PairsUsed, s.Strongest.Head.ToString(), s.Strongest.Score, s.StrongestDepth, s.Heads, s.MeanDepth];
        string[] half = ["pairs", "strongest_head", "score", "depth", "heads", "mean_depth"];
        return CsvTable.Write(
            ["relation", "category", .. half.Select(c => $"first_{c}"), .. half.Select(c => $"second_{c}")],
            Relations.Select(r => (IReadOnlyList<object?>)[r.Relation, r.Category, .. Half(r.First), .. Half(r.Second)]));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Relations);
}
