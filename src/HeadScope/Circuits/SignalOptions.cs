namespace HeadScope;

/// <summary>What counts as a firing.</summary>
public sealed record SignalOptions
{
    /// <summary>The least attention from the destination to the source. The paper's value is 0.5.</summary>
    public double PatternThreshold { get; init; } = 0.5;

    /// <summary>How many prompts run through the model at once; bounds the memory, changes no result.</summary>
    public int BatchSize { get; init; } = 32;
}
