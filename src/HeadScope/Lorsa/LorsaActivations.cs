using static TorchSharp.torch;

namespace HeadScope;

/// <summary>What the heads of a Lorsa do on B sequences of T tokens: n OV heads over G QK heads.</summary>
/// <param name="PreActivations">z, before the choice of active heads, [B, T, n].</param>
/// <param name="Activations">a: z of the active heads, 0 of the others, [B, T, n].</param>
/// <param name="Patterns">P, the attention patterns, [B, G, T, T]: [.., t, s] is how much t attends to s; rows sum to 1.</param>
/// <param name="Values">v, what is read at each token, [B, T, n].</param>
/// <param name="Output">The predicted attention output in the units of the model, [B, T, d].</param>
public sealed record LorsaActivations(Tensor PreActivations, Tensor Activations, Tensor Patterns, Tensor Values, Tensor Output)
{
    /// <summary>How much each token adds to z of a head at each later one: <c>P(t, s) v(s)</c>, whose rows sum to z.</summary>
    /// <param name="head">The OV head.</param>
    /// <returns>The contributions, [B, T, T]: [.., t, s] is that of s at t.</returns>
    public Tensor ZPattern(int head)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, Values.shape[2]);
        using var scope = NewDisposeScope();
        var pattern = Patterns.select(1, head / (Values.shape[2] / Patterns.shape[1]));
        return scope.MoveToOuter(pattern.mul(Values.select(2, head).unsqueeze(1)));
    }
}
