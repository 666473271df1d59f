namespace HeadScope;

/// <content>Maps of two models side by side, and groups of heads in one (arXiv 2412.11965, section 4.4).</content>
public sealed partial record HeadMap
{
    /// <summary>Compares how two models implement relations: how strongly, with how many heads, and how deep.</summary>
    /// <param name="first">The map of one model, all heads scored.</param>
    /// <param name="second">The map of another.</param>
    /// <param name="threshold">A head counts as implementing a relation from this score on.</param>
    /// <returns>A row for each relation that both maps have: relation, category, and for each model (first_, second_) pairs,
    /// strongest_head, its score and depth (its layer over the last, 0 to 1), heads (how many reach the threshold), mean_depth (of all
    /// heads, weighted with their scores; NaN when all are 0).</returns>
    /// <exception cref="ArgumentException">A map is only a part, or a relation was scored with different k.</exception>
    public static DataFrame Compare(HeadMap first, HeadMap second, double threshold = 0.3)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        first.RequireWhole();
        second.RequireWhole();
        var both = first.Relations.Select(a => (First: a, Second: second.Find(a.Name)!)).Where(p => p.Second is not null).ToArray();
        var differing = Array.Find(both, p => p.First.K != p.Second.K);
        Fault.ArgumentIf(
            differing.First is not null, $"'{differing.First?.Name}' was scored with k = {differing.First?.K} in one map and {differing.Second?.K} in the other.");
        return new(
        [
            .. ResultTable.Of(both, p => new { relation = p.First.Name, category = p.First.Category }).Columns,
            .. Half("first", both.Select(p => p.First), threshold),
            .. Half("second", both.Select(p => p.Second), threshold),
        ]);
    }

    /// <summary>Whether heads that share a key-value head share functions (architecture bias): beside each head that implements a
    /// relation, the scores of its group and of the rest of its layer.</summary>
    /// <param name="threshold">A head counts as implementing a relation from this score on.</param>
    /// <returns>A row for each relation: relation, heads (how many reach the threshold), group_score (the mean score of the other heads of
    /// their groups; NaN when there are none), layer_score (that of the heads of their layers outside).</returns>
    /// <exception cref="ArgumentException">The map is only a part.</exception>
    public DataFrame GroupSharing(double threshold = 0.3)
    {
        RequireWhole();
        var size = HeadCount / KeyValueHeadCount;
        return ResultTable.Of(Relations, relation =>
        {
            Head[] strong = [.. relation.Heads.Where(head => Reaches(relation.Of(head), threshold))];
            var others = strong.SelectMany(head => Enumerable.Range(0, HeadCount).Where(i => i != head.Index)
                .Select(i => (Shares: i / size == head.Index / size, relation.Of(new(head.Layer, i)).Score))).ToLookup(o => o.Shares, o => o.Score);
            double Mean(bool shares) => others[shares].Select(s => (double)s).DefaultIfEmpty(double.NaN).Average();
            return new { relation = relation.Name, heads = strong.Length, group_score = Mean(true), layer_score = Mean(false) };
        });
    }

    private static bool Reaches(HeadScore score, double threshold) => score.Hits > 0 && score.Score >= threshold;

    private static IEnumerable<DataFrameColumn> Half(string name, IEnumerable<RelationScores> relations, double threshold)
    {
        static double Depth(RelationScores relation, int layer) => layer / (double)Math.Max(1, relation.LayerCount - 1);
        var columns = ResultTable.Of(relations, relation =>
        {
            HeadScore[] scores = [.. relation.Heads.Select(head => relation.Of(head))];
            var strongest = scores.MaxBy(s => s.Hits);
            return new
            {
                pairs = strongest.Pairs, strongest_head = strongest.Head, score = strongest.Score, depth = Depth(relation, strongest.Head.Layer),
                heads = scores.Count(s => Reaches(s, threshold)),
                mean_depth = scores.Sum(s => (double)s.Score * Depth(relation, s.Head.Layer)) / scores.Sum(s => (double)s.Score),
            };
        }).Columns;
        foreach (var column in columns)
        {
            column.SetName($"{name}_{column.Name}");
            yield return column;
        }
    }

    private void RequireWhole() => Fault.ArgumentIf(Shard.Of != 1, $"The map of {Model} is part {ShardText}; merge the parts first.");
}
