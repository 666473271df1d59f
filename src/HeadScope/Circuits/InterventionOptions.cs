namespace HeadScope;

/// <summary>Who sees the changed signal.</summary>
public enum InterventionScope
{
    /// <summary>Everything behind the sender: what it wrote to the residual stream is changed.</summary>
    Global,

    /// <summary>The receiving head alone.</summary>
    Local,
}

/// <summary>How signals are changed. The defaults are the sound choice; <see cref="Published"/> is the authors' code.</summary>
public sealed record InterventionOptions
{
    /// <summary>
    /// The authors' settings: the constant 1 is part of what is projected, local changes reach the values of the head too, and the control
    /// is as large as its directions happen to make it.
    /// </summary>
    public static InterventionOptions Published { get; } = new() { WithConstant = true, WithValues = true, EqualNorm = false };

    /// <summary>Who sees the change.</summary>
    public InterventionScope Scope { get; init; }

    /// <summary>What the signal is multiplied by: 0 removes it, 2 boosts it as the paper does, 1 leaves it.</summary>
    public double Factor { get; init; }

    /// <summary>The seed of the random directions of the control.</summary>
    public int Seed { get; init; }

    /// <summary>
    /// Whether the change of the control, which takes as many of the head's other directions as the signal has, is brought to the norm
    /// of the change of the signal.
    /// </summary>
    public bool EqualNorm { get; init; } = true;

    /// <summary>Whether a constant 1, which nobody wrote, is appended to what the sender wrote before it is projected.</summary>
    public bool WithConstant { get; init; }

    /// <summary>
    /// Whether a local change at a token reaches query, key and value of the head there. By default a change on the destination side
    /// reaches the query, on the source side the key, and nothing else: the score changes by exactly what the signal made of it.
    /// </summary>
    public bool WithValues { get; init; }

    /// <summary>The least attention of a firing; prompts in which the head does not fire are left as they are.</summary>
    public double PatternThreshold { get; init; } = 0.5;

    /// <summary>How many prompts run at once; bounds the memory, changes no result.</summary>
    public int BatchSize { get; init; } = 32;
}
