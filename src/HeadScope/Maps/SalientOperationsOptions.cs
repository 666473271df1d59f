namespace HeadScope;

/// <summary>How much of each head's work is listed. The defaults are the published ones (arXiv 2412.11965, section 5).</summary>
public sealed record SalientOperationsOptions
{
    /// <summary>How many source tokens are listed for each head.</summary>
    public int Tokens { get; init; } = 15;

    /// <summary>How many targets are listed for each source token, and how many suppressed tokens.</summary>
    public int Mappings { get; init; } = 5;

    /// <summary>Whether the embeddings pass the first MLP; as published this holds for heads of layer 0 too.</summary>
    public bool FirstMlp { get; init; } = true;
}
