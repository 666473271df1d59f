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
        if (Array.Find(both, p => p.First.K != p.Second.K) is { First: { } differing, Second: var other })
        {
            throw new ArgumentException($"'{differing.Name}' was scored with k = {differing.K} in one map and {other.K} in the other.", nameof(second));
        }

        return new(
        [
            new StringDataFrameColumn("relation", both.Select(p => p.First.Name)),
            new StringDataFrameColumn("category", both.Select(p => p.First.Category)),
            .. Half("first", [.. both.Select(p => p.First)], threshold),
            .. Half("second", [.. both.Select(p => p.Second)], threshold),
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
        var rows = Relations.Select(relation =>
        {
            Head[] strong = [.. relation.Heads.Where(head => Reaches(relation.Of(head), threshold))];
            var others = strong.SelectMany(head => Enumerable.Range(0, HeadCount).Where(i => i != head.Index)
                .Select(i => (Shares: i / size == head.Index / size, relation.Of(new(head.Layer, i)).Score))).ToLookup(o => o.Shares, o => o.Score);
            double Mean(bool shares) => others[shares].Select(s => (double)s).DefaultIfEmpty(double.NaN).Average();
            return (relation.Name, strong.Length, Group: Mean(true), Layer: Mean(false));
        }).ToArray();
        return new(
            new StringDataFrameColumn("relation", rows.Select(r => r.Name)),
            new Int32DataFrameColumn("heads", rows.Select(r => r.Length)),
            new DoubleDataFrameColumn("group_score", rows.Select(r => r.Group)),
            new DoubleDataFrameColumn("layer_score", rows.Select(r => r.Layer)));
    }

    private static bool Reaches(HeadScore score, double threshold) => score.Hits > 0 && score.Score >= threshold;

    private static DataFrameColumn[] Half(string name, RelationScores[] relations, double threshold)
    {
        static double Depth(RelationScores relation, int layer) => layer / (double)Math.Max(1, relation.LayerCount - 1);
        var rows = Array.ConvertAll(relations, relation =>
        {
            HeadScore[] scores = [.. relation.Heads.Select(head => relation.Of(head))];
            var strongest = scores.MaxBy(s => s.Hits);
            return (
                strongest.Pairs,
                Strongest: strongest,
                Depth: Depth(relation, strongest.Head.Layer),
                Heads: scores.Count(s => Reaches(s, threshold)),
                MeanDepth: scores.Sum(s => (double)s.Score * Depth(relation, s.Head.Layer)) / scores.Sum(s => (double)s.Score));
        });
        return
        [
            new Int32DataFrameColumn($"{name}_pairs", rows.Select(r => r.Pairs)),
            new StringDataFrameColumn($"{name}_strongest_head", rows.Select(r => r.Strongest.Head.ToString())),
            new SingleDataFrameColumn($"{name}_score", rows.Select(r => r.Strongest.Score)),
            new DoubleDataFrameColumn($"{name}_depth", rows.Select(r => r.Depth)),
            new Int32DataFrameColumn($"{name}_heads", rows.Select(r => r.Heads)),
            new DoubleDataFrameColumn($"{name}_mean_depth", rows.Select(r => r.MeanDepth)),
        ];
    }

    private void RequireWhole()
    {
        if (Shard.Of != 1)
        {
            throw new ArgumentException($"The map of {Model} is part {ShardText}; merge the parts first.");
        }
    }
}
