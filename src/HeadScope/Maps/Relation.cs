namespace HeadScope;

/// <summary>
/// A relation between words: the pairs of which MAPS asks whether a head maps source to target (Elhelo &amp; Geva, arXiv 2412.11965,
/// section 4).
/// </summary>
/// <param name="Name">Its name, such as <c>country_to_capital</c>.</param>
/// <param name="Category">What kind of relation it is; of those that ship, <c>knowledge</c>, <c>language</c>, <c>algorithmic</c> or
/// <c>translation</c>.</param>
/// <param name="Pairs">The pairs in their order, as text without a leading space: what the head reads (<c>France</c>), and what it should
/// write (<c>Paris</c>).</param>
/// <param name="Source">Where the pairs come from, in words; empty when nobody said.</param>
public sealed record Relation(string Name, string Category, IReadOnlyList<(string Source, string Target)> Pairs, string Source = "")
{
    /// <summary>The prompt that asks for the target, with <c>&lt;X&gt;</c> in the place of the source, for ablations; null when there is
    /// none.</summary>
    public string? Prompt { get; init; }

    /// <summary>Whether every target is its own source: a copying relation, which the paper scores with k = 1.</summary>
    public bool IsCopying => Pairs.Count > 0 && Pairs.All(p => string.Equals(p.Source, p.Target, StringComparison.Ordinal));

    /// <inheritdoc/>
    public override string ToString() => $"{Name} ({Pairs.Count} pairs)";
}

/// <summary>A pair of a relation whose source and target are one token each, when written after a space.</summary>
internal readonly record struct TokenPair(string Source, string Target, int SourceToken, int TargetToken);

/// <summary>
/// A relation as a model sees it: the pairs whose source and target are single tokens when written after a space, in their order and
/// with their capitals (arXiv 2412.11965, section 4.1), and those that were left out, with the reason.
/// </summary>
internal sealed record TokenRelation(
    string Name, string Category, IReadOnlyList<TokenPair> Pairs, IReadOnlyList<(string Source, string Target, string Reason)> Skipped,
    bool IsCopying = false)
{
    /// <summary>Finds the tokens of a relation.</summary>
    /// <exception cref="ArgumentException">The relation has no pairs.</exception>
    public static TokenRelation From(Relation relation, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(relation);
        Fault.ArgumentIf(relation.Pairs.Count == 0, $"The relation '{relation.Name}' has no pairs.");
        var (pairs, skipped) = (new List<TokenPair>(), new List<(string, string, string)>());
        foreach (var (source, target) in relation.Pairs)
        {
            var (s, t) = (tokenizer.Encode(" " + source, addSpecialTokens: false), tokenizer.Encode(" " + target, addSpecialTokens: false));
            if (s.Length == 1 && t.Length == 1)
            {
                pairs.Add(new(source, target, s[0], t[0]));
                continue;
            }

            skipped.Add((source, target, t.Length == 1 ? $"source is {s.Length} tokens"
                : s.Length == 1 ? $"target is {t.Length} tokens"
                : $"source is {s.Length} tokens, target {t.Length}"));
        }

        return new(relation.Name, relation.Category, pairs, skipped, relation.IsCopying);
    }
}
