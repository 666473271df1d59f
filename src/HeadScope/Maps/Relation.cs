namespace HeadScope;

/// <summary>
/// A relation between words: the pairs of which MAPS asks whether a head maps source to target (Elhelo &amp; Geva, arXiv 2412.11965,
/// section 4).
/// </summary>
/// <param name="Name">Its name, such as <c>country_to_capital</c>.</param>
/// <param name="Category">What kind of relation it is; of those that ship, <c>knowledge</c>, <c>language</c>, <c>algorithmic</c> or
/// <c>translation</c>.</param>
/// <param name="Pairs">The pairs in their order.</param>
/// <param name="Source">Where the pairs come from, in words; empty when nobody said.</param>
public sealed record Relation(string Name, string Category, IReadOnlyList<RelationPair> Pairs, string Source = "")
{
    /// <summary>Whether every target is its own source: a copying relation, which the paper scores with k = 1.</summary>
    public bool IsCopying => Pairs.Count > 0 && Pairs.All(p => string.Equals(p.Source, p.Target, StringComparison.Ordinal));

    /// <inheritdoc/>
    public override string ToString() => $"{Name} ({Pairs.Count} pairs)";
}
