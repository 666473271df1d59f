using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// The scores of all heads for one relation. A pair hits at a head when its target is among the k largest entries of
/// mlp0(E[source]) W_V W_O W_U (relation score), or among the k smallest (suppression score); a score is the share of pairs that hit
/// (arXiv 2412.11965, equations 2 and 3).
/// </summary>
public sealed record RelationScores
{
    private readonly int[,] relationHits;
    private readonly int[,] suppressionHits;

    internal RelationScores(
        string name,
        string category,
        int k,
        IReadOnlyList<TokenPair> pairs,
        IReadOnlyList<SkippedPair> skippedPairs,
        int[,] relationHits,
        int[,] suppressionHits,
        IReadOnlyDictionary<Head, IReadOnlyList<int>> relationExamples,
        IReadOnlyDictionary<Head, IReadOnlyList<int>> suppressionExamples)
    {
        Name = name;
        Category = category;
        K = k;
        Pairs = pairs;
        SkippedPairs = skippedPairs;
        this.relationHits = relationHits;
        this.suppressionHits = suppressionHits;
        RelationExamples = relationExamples;
        SuppressionExamples = suppressionExamples;
    }

    /// <summary>The name of the relation.</summary>
    public string Name { get; }

    /// <summary>The category of the relation.</summary>
    public string Category { get; }

    /// <summary>A target counts when it is among the k largest or smallest.</summary>
    public int K { get; }

    /// <summary>The pairs that were scored: those of single tokens.</summary>
    public IReadOnlyList<TokenPair> Pairs { get; }

    /// <summary>The number of pairs that were scored.</summary>
    public int PairsUsed => Pairs.Count;

    /// <summary>The pairs that were not, with the reason.</summary>
    public IReadOnlyList<SkippedPair> SkippedPairs { get; }

    /// <summary>The number of layers.</summary>
    public int LayerCount => relationHits.GetLength(0);

    /// <summary>The number of heads of a layer.</summary>
    public int HeadCount => relationHits.GetLength(1);

    /// <summary>For each head the number of pairs whose target is among the k largest, [layer, head], int32; -1 where not scored.</summary>
    public Tensor RelationHits => tensor(relationHits);

    /// <summary>For each head the number of pairs whose target is among the k smallest, [layer, head], int32; -1 where not scored.</summary>
    public Tensor SuppressionHits => tensor(suppressionHits);

    /// <summary>Relation scores, [layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor Scores => Shares(relationHits);

    /// <summary>Suppression scores, [layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor SuppressionScores => Shares(suppressionHits);

    /// <summary>For each head that hits, the first few of <see cref="Pairs"/> that hit.</summary>
    public IReadOnlyDictionary<Head, IReadOnlyList<int>> RelationExamples { get; }

    /// <summary>For each head that hits with the smallest entries, the first few of <see cref="Pairs"/> that do.</summary>
    public IReadOnlyDictionary<Head, IReadOnlyList<int>> SuppressionExamples { get; }

    /// <summary>The score of one head.</summary>
    /// <param name="head">The head.</param>
    /// <param name="suppression">Whether the suppression score is asked for.</param>
    /// <returns>The score with its counts.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The model has no such head.</exception>
    public HeadScore Of(Head head, bool suppression = false)
    {
        if (head.Layer < 0 || head.Layer >= LayerCount || head.Index < 0 || head.Index >= HeadCount)
        {
            throw new ArgumentOutOfRangeException(nameof(head), $"There is no head {head}: the model has {LayerCount} layers of {HeadCount} heads.");
        }

        var hits = Hits(suppression)[head.Layer, head.Index];
        return new HeadScore(Name, head, Share(hits), hits, PairsUsed, suppression);
    }

    /// <summary>The pairs that hit at a head, at most as many as were kept.</summary>
    /// <param name="head">The head.</param>
    /// <param name="suppression">Whether hits among the smallest are asked for.</param>
    /// <returns>The pairs in their order; none when nothing hits.</returns>
    public IReadOnlyList<TokenPair> Examples(Head head, bool suppression = false) =>
        (suppression ? SuppressionExamples : RelationExamples).TryGetValue(head, out var indices)
            ? [.. indices.Select(i => Pairs[i])]
            : [];

    /// <summary>The strongest heads, strongest first; of equal scores the earlier head first.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="suppression">Whether suppression scores are asked for.</param>
    /// <returns>Heads with a score above 0.</returns>
    public IReadOnlyList<HeadScore> Top(int count, bool suppression = false)
    {
        var scores = new List<HeadScore>();
        for (var layer = 0; layer < LayerCount; layer++)
        {
            for (var head = 0; head < HeadCount; head++)
            {
                scores.Add(Of(new Head(layer, head), suppression));
            }
        }

        return [.. scores.Where(s => s.Hits > 0).OrderByDescending(s => s.Hits).ThenBy(s => s.Head).Take(count)];
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Name}: {PairsUsed} pairs, k = {K}, strongest {string.Join(", ", Top(3))}";

    /// <summary>The hits among the k smallest or among the k largest, [layer, head].</summary>
    internal int[,] Hits(bool suppression) => suppression ? suppressionHits : relationHits;

    /// <summary>The score of a number of hits, as published: their mean in fp32; NaN where not scored.</summary>
    internal float Share(int hits) => hits < 0 ? float.NaN : hits / (float)PairsUsed;

    private Tensor Shares(int[,] hits) => tensor([.. hits.Cast<int>().Select(Share)], [LayerCount, HeadCount]);
}
