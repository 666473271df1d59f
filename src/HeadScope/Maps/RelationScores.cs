using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The scores of all heads for one relation. A pair hits at a head when its target is among the k largest entries of
/// mlp0(E[source]) W_V W_O W_U (relation score), or among the k smallest (suppression score); a score is the share of pairs that hit
/// (arXiv 2412.11965, equations 2 and 3).
/// </summary>
public sealed record RelationScores
{
    private readonly Tensor<int> relationHits;
    private readonly Tensor<int> suppressionHits;

    internal RelationScores(
        string name,
        string category,
        int k,
        IReadOnlyList<TokenPair> pairs,
        IReadOnlyList<SkippedPair> skippedPairs,
        Tensor<int> relationHits,
        Tensor<int> suppressionHits,
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
        Scores = Shares(relationHits, pairs.Count);
        SuppressionScores = Shares(suppressionHits, pairs.Count);
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

    /// <summary>For each head the number of pairs whose target is among the k largest, [layer, head]; -1 where not scored.</summary>
    public Tensor<int> RelationHits => relationHits;

    /// <summary>For each head the number of pairs whose target is among the k smallest, [layer, head]; -1 where not scored.</summary>
    public Tensor<int> SuppressionHits => suppressionHits;

    /// <summary>Relation scores, [layer, head], 0 to 1; NaN where not scored.</summary>
    public Tensor<float> Scores { get; }

    /// <summary>Suppression scores, [layer, head], 0 to 1; NaN where not scored.</summary>
    public Tensor<float> SuppressionScores { get; }

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
        var (layers, heads) = ((int)relationHits.Lengths[0], (int)relationHits.Lengths[1]);
        if (head.Layer < 0 || head.Layer >= layers || head.Index < 0 || head.Index >= heads)
        {
            throw new ArgumentOutOfRangeException(nameof(head), $"There is no head {head}: the model has {layers} layers of {heads} heads.");
        }

        ReadOnlySpan<nint> at = [head.Layer, head.Index];
        return suppression
            ? new HeadScore(Name, head, SuppressionScores[at], suppressionHits[at], PairsUsed, IsSuppression: true)
            : new HeadScore(Name, head, Scores[at], relationHits[at], PairsUsed, IsSuppression: false);
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
        for (var layer = 0; layer < relationHits.Lengths[0]; layer++)
        {
            for (var head = 0; head < relationHits.Lengths[1]; head++)
            {
                scores.Add(Of(new Head(layer, head), suppression));
            }
        }

        return [.. scores.Where(s => s.Hits > 0).OrderByDescending(s => s.Hits).ThenBy(s => s.Head).Take(count)];
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Name}: {PairsUsed} pairs, k = {K}, strongest {string.Join(", ", Top(3))}";

    // As published: an fp32 mean of hits.
    private static Tensor<float> Shares(Tensor<int> hits, int pairs)
    {
        var shares = Tensor.CreateFromShape<float>(hits.Lengths);
        for (nint layer = 0; layer < hits.Lengths[0]; layer++)
        {
            for (nint head = 0; head < hits.Lengths[1]; head++)
            {
                var count = hits[layer, head];
                shares[layer, head] = count < 0 ? float.NaN : count / (float)pairs;
            }
        }

        return shares;
    }
}
