using System.Globalization;

namespace HeadScope;

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
