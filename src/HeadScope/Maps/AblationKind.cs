namespace HeadScope;

/// <summary>What an ablated head writes at the last position instead of its output z.</summary>
public enum AblationKind
{
    /// <summary>Zeros, as published.</summary>
    Zero,

    /// <summary>The mean of its z over the prompts of the task.</summary>
    Mean,
}
