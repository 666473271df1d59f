namespace HeadScope;

/// <summary>
/// The scores of all heads for one relation. A pair hits at a head when its target is among the k largest entries of
/// mlp0(E[source]) W_V W_O W_U (relation score), or among the k smallest (suppression score); a score is the share of pairs that hit
/// (arXiv 2412.11965, equations 2 and 3).
/// </summary>
/// <param name="Name">The name of the relation.</param>
/// <param name="Category">The category of the relation.</param>
/// <param name="K">A target counts when it is among the k largest or smallest.</param>
/// <param name="LayerCount">The number of layers.</param>
/// <param name="HeadCount">The number of heads of a layer.</param>
public sealed record RelationScores(string Name, string Category, int K, int LayerCount, int HeadCount)
{
    internal RelationScores(TokenRelation relation, int k, int layers, int heads, int[][] hits, Dictionary<Head, int[]>[] examples)
        : this(relation.Name, relation.Category, k, layers, heads) => (Relation, Counts, PairsThatHit) = (relation, hits, examples);

    /// <summary>The pairs that were scored: those of single tokens.</summary>
    public IReadOnlyList<(string Source, string Target)> Pairs => [.. Relation.Pairs.Select(p => (p.Source, p.Target))];

    /// <summary>The pairs that were not, with the reason: <c>source is 2 tokens</c>.</summary>
    public IReadOnlyList<(string Source, string Target, string Reason)> SkippedPairs => Relation.Skipped;

    /// <summary>Relation scores, [layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor Scores => Shares(suppression: false);

    /// <summary>Suppression scores, [layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor Suppression => Shares(suppression: true);

    /// <summary>For each head the number of pairs whose target is among the k largest, [layer, head], int32; -1 where not scored.</summary>
    public Tensor Hits => tensor(Counts[0], [LayerCount, HeadCount]);

    /// <summary>For each head the number of pairs whose target is among the k smallest, [layer, head], int32; -1 where not scored.</summary>
    public Tensor SuppressionHits => tensor(Counts[1], [LayerCount, HeadCount]);

    internal TokenRelation Relation { get; } = null!;

    // Hits by sign (largest, smallest) and head; -1 where not scored.
    internal int[][] Counts { get; } = [];

    // By sign and head the first few pairs that hit, as places in Pairs.
    internal Dictionary<Head, int[]>[] PairsThatHit { get; } = [];

    internal IEnumerable<Head> Heads => Enumerable.Range(0, LayerCount * HeadCount).Select(i => new Head(i / HeadCount, i % HeadCount));

    /// <summary>The score of one head.</summary>
    /// <param name="head">The head.</param>
    /// <param name="suppression">Whether the suppression score is asked for.</param>
    /// <returns>The score with its counts.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The model has no such head.</exception>
    public HeadScore Of(Head head, bool suppression = false)
    {
        var hits = head.Layer >= 0 && head.Layer < LayerCount && head.Index >= 0 && head.Index < HeadCount
            ? Counts[suppression ? 1 : 0][(head.Layer * HeadCount) + head.Index]
            : throw new ArgumentOutOfRangeException(nameof(head), $"There is no head {head}: the model has {LayerCount} layers of {HeadCount} heads.");
        return new HeadScore(Name, head, Share(hits), hits, Relation.Pairs.Count, suppression);
    }

    /// <summary>The pairs that hit at a head, at most as many as were kept.</summary>
    /// <param name="head">The head.</param>
    /// <param name="suppression">Whether hits among the smallest are asked for.</param>
    /// <returns>The pairs in their order; none when nothing hits.</returns>
    public IReadOnlyList<(string Source, string Target)> Examples(Head head, bool suppression = false) =>
        [.. PairsThatHit[suppression ? 1 : 0].GetValueOrDefault(head, []).Select(i => (Relation.Pairs[i].Source, Relation.Pairs[i].Target))];

    /// <summary>The strongest heads, strongest first; of equal scores the earlier head first.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="suppression">Whether suppression scores are asked for.</param>
    /// <returns>Heads with a score above 0.</returns>
    public IReadOnlyList<HeadScore> Top(int count, bool suppression = false) =>
        [.. Heads.Select(head => Of(head, suppression)).Where(s => s.Hits > 0).OrderByDescending(s => s.Hits).Take(count)];

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Relation.Pairs.Count} pairs, k = {K}, strongest {string.Join(", ", Top(3))}";

    // As published: the mean in fp32.
    private float Share(int hits) => hits < 0 ? float.NaN : hits / (float)Relation.Pairs.Count;

    private Tensor Shares(bool suppression) => tensor(Array.ConvertAll(Counts[suppression ? 1 : 0], Share), [LayerCount, HeadCount]);
}

/// <summary>How strongly one head implements a relation, or suppresses its targets.</summary>
/// <param name="Relation">The relation.</param>
/// <param name="Head">The head.</param>
/// <param name="Score">The share of pairs that hit, 0 to 1.</param>
/// <param name="Hits">The number of pairs that hit.</param>
/// <param name="Pairs">The number of pairs.</param>
/// <param name="IsSuppression">Whether a hit is a target among the k smallest instead of the k largest.</param>
public readonly record struct HeadScore(string Relation, Head Head, float Score, int Hits, int Pairs, bool IsSuppression)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Head} {Score:0.00}");
}
