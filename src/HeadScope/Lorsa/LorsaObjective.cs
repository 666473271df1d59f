namespace HeadScope;

/// <summary>How the activity of heads is penalised besides the reconstruction error. <c>f = a |w_O|</c> is what a head adds to the output.</summary>
public enum LorsaPenalty
{
    /// <summary>Not at all: k decides.</summary>
    None,

    /// <summary>The p-norm of f over the heads of a token.</summary>
    Power,

    /// <summary>The sum of tanh(s f) over the heads of a token.</summary>
    Tanh,

    /// <summary>tanh(s f) averaged over all tokens of the batch, F, and then the sum of F (1 + F / frequency scale) over the heads.</summary>
    TanhQuadratic,
}

/// <summary>
/// What training minimises: the squared error of the reconstruction, summed over d and averaged over the tokens that count, plus penalties.
/// The defaults are the reconstruction alone, in the units of OpenMOSS's Language-Model-SAEs.
/// </summary>
public sealed record LorsaObjective
{
    /// <summary>The penalty on activity.</summary>
    public LorsaPenalty Penalty { get; init; }

    /// <summary>The weight of <see cref="Penalty"/>, after its warm-up.</summary>
    public double PenaltyCoefficient { get; init; }

    /// <summary>p of <see cref="LorsaPenalty.Power"/>.</summary>
    public double Power { get; init; } = 1;

    /// <summary>s of the tanh penalties.</summary>
    public double TanhStretch { get; init; } = 4;

    /// <summary>The activation frequency at which <see cref="LorsaPenalty.TanhQuadratic"/> doubles.</summary>
    public double FrequencyScale { get; init; } = 0.01;

    /// <summary>
    /// The weight of <c>sum relu(threshold - z) |w_O|</c>, which pulls silent heads to their threshold; JumpReLU only.
    /// It compares the unscaled z, as OpenMOSS does.
    /// </summary>
    public double ThresholdCoefficient { get; init; }

    /// <summary>The weight of the error that remains when dead heads explain the residual ("aux-k"); 0 for none.</summary>
    public double AuxiliaryCoefficient { get; init; }

    /// <summary>How many dead heads explain the residual of a token.</summary>
    public int AuxiliaryHeads { get; init; } = 512;

    /// <summary>After how many tokens without activity a head counts as dead.</summary>
    public long DeadAfterTokens { get; init; } = 10_000_000;

    /// <summary>
    /// Whether the reconstruction error is averaged over d instead of summed: the loss of the first published implementation.
    /// Adam does not see the difference, gradient clipping by norm does.
    /// </summary>
    public bool MeanOverWidth { get; init; }
}

/// <summary>The loss of a batch and its parts.</summary>
/// <param name="Total">The sum of the parts.</param>
/// <param name="Reconstruction">The squared error.</param>
/// <param name="Penalty">The penalty on activity, with its weight.</param>
/// <param name="Threshold">The penalty on thresholds, with its weight.</param>
/// <param name="Auxiliary">The part of the dead heads, with its weight.</param>
public readonly record struct LorsaLoss(double Total, double Reconstruction, double Penalty, double Threshold, double Auxiliary);
