using static System.FormattableString;

namespace HeadScope;

/// <summary>
/// A relation as a model sees it: the pairs whose source and target are single tokens when written after a space, in their order and
/// with their capitals (arXiv 2412.11965, section 4.1), and those that were left out.
/// </summary>
/// <param name="Name">The name of the relation.</param>
/// <param name="Category">Its category.</param>
/// <param name="Pairs">The pairs that can be scored.</param>
/// <param name="Skipped">The pairs that cannot, with the reason.</param>
/// <param name="IsCopying">Whether the relation as a whole copies: each target is its source.</param>
public sealed record TokenRelation(
    string Name, string Category, IReadOnlyList<TokenPair> Pairs, IReadOnlyList<SkippedPair> Skipped, bool IsCopying = false)
{
    /// <summary>Finds the tokens of a relation.</summary>
    /// <param name="relation">The relation.</param>
    /// <param name="tokenizer">The tokenizer of the model.</param>
    /// <returns>The relation in tokens. It may have no pairs at all.</returns>
    /// <exception cref="ArgumentException">The relation has no pairs.</exception>
    public static TokenRelation From(Relation relation, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(relation);
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (relation.Pairs.Count == 0)
        {
            throw new ArgumentException($"The relation '{relation.Name}' has no pairs.", nameof(relation));
        }

        var pairs = new List<TokenPair>(relation.Pairs.Count);
        var skipped = new List<SkippedPair>();
        foreach (var (source, target) in relation.Pairs)
        {
            var sourceTokens = tokenizer.Encode(" " + source, addSpecialTokens: false);
            var targetTokens = tokenizer.Encode(" " + target, addSpecialTokens: false);
            if (sourceTokens.Length == 1 && targetTokens.Length == 1)
            {
                pairs.Add(new TokenPair(source, target, sourceTokens[0], targetTokens[0]));
                continue;
            }

            skipped.Add(new SkippedPair(source, target, (sourceTokens.Length, targetTokens.Length) switch
            {
                (var s, 1) => Invariant($"source is {s} tokens"),
                (1, var t) => Invariant($"target is {t} tokens"),
                var (s, t) => Invariant($"source is {s} tokens, target {t}"),
            }));
        }

        return new TokenRelation(relation.Name, relation.Category, pairs, skipped, relation.IsCopying);
    }
}
