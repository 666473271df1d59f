namespace HeadScope;

/// <summary>When a pattern is worth naming.</summary>
public sealed record DescriberOptions
{
    /// <summary>A pattern in the salient operations is named when it holds for at least this share of the source tokens.</summary>
    public double MinimumShare { get; init; } = 0.3;

    /// <summary>A relation is named when the head's relation or suppression score is at least this.</summary>
    public double MinimumScore { get; init; } = 0.3;

    /// <summary>How many pairs are kept as evidence of each pattern.</summary>
    public int Evidence { get; init; } = 8;
}
