namespace HeadScope;

/// <summary>A singular direction that recurs in the firings of a head.</summary>
/// <param name="Direction">The direction, counted from 0 by falling singular value.</param>
/// <param name="FiringCount">In how many sparse sets it is.</param>
/// <param name="Share">In which share of the head's firings.</param>
/// <param name="MeanContribution">The mean share of the score that it makes where it takes part.</param>
/// <param name="DestinationTokens">The destination tokens it fires at, most frequent first.</param>
/// <param name="SourceTokens">The source tokens it fires at, most frequent first.</param>
public sealed record DirectionUse(
    int Direction,
    int FiringCount,
    double Share,
    double MeanContribution,
    IReadOnlyList<TokenUse> DestinationTokens,
    IReadOnlyList<TokenUse> SourceTokens);
