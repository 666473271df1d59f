namespace HeadScope;

/// <summary>How dynamic scores are measured.</summary>
public sealed record DynamicOptions
{
    /// <summary>The prompts, each with <c>&lt;X&gt;</c> in the place of the source.</summary>
    public IReadOnlyList<string> Templates { get; init; } = PromptTemplates.Dynamic;

    /// <summary>As <see cref="HeadMapOptions.K"/>, for static and dynamic scores alike.</summary>
    public int? K { get; init; }

    /// <summary>A relation with fewer single-token pairs is skipped.</summary>
    public int MinimumPairs { get; init; } = 30;

    /// <summary>How many prompts run at a time.</summary>
    public int BatchSize { get; init; } = 32;
}
