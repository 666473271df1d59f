using System.Globalization;

namespace HeadScope;

/// <summary>A regularity in what a head does, with the pairs it rests on.</summary>
/// <param name="Name">Which regularity: <c>same token</c>, <c>suffix added</c>, <c>relation country_to_capital</c>, …</param>
/// <param name="Strength">The share of source tokens (or of the relation's pairs) for which it holds, 0 to 1.</param>
/// <param name="Matches">For how many it holds.</param>
/// <param name="Of">Of how many.</param>
/// <param name="Evidence">Some of the pairs, source and target as text.</param>
public sealed record HeadPattern(string Name, double Strength, int Matches, int Of, IReadOnlyList<RelationPair> Evidence)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Name} ({Matches} of {Of}): {string.Join(", ", Evidence.Take(4).Select(e => $"'{e.Source}' → '{e.Target}'"))}");
}
