using System.Globalization;

namespace HeadScope;

/// <summary>How two models implement a relation.</summary>
/// <param name="Relation">The relation.</param>
/// <param name="Category">Its category.</param>
/// <param name="First">The first model.</param>
/// <param name="Second">The second model.</param>
public sealed record RelationComparison(string Relation, string Category, RelationStrength First, RelationStrength Second)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Relation}: {First.Strongest} at depth {First.StrongestDepth:0.00} ({First.Heads} heads), {Second.Strongest} at depth {Second.StrongestDepth:0.00} ({Second.Heads} heads)");
}
