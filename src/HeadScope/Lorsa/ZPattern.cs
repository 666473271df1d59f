using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// How the tokens of a text make up what a head gathers: the contribution of token s at token t is <c>P(t, s) v(s)</c>, and the
/// contributions at a token sum to its z.
/// </summary>
/// <param name="Head">The OV head.</param>
/// <param name="Tokens">The tokens, [T].</param>
/// <param name="TokenTexts">Each token as text; empty where there is no tokenizer.</param>
/// <param name="Contributions">[T, T]: query, source; zero for later sources.</param>
/// <param name="Attention">P, [T, T]: the pattern of the QK head.</param>
/// <param name="PreActivations">z, [T].</param>
/// <param name="Activations">a, [T]: z where the head is active, else 0.</param>
public sealed record ZPattern(
    int Head, IReadOnlyList<int> Tokens, IReadOnlyList<string> TokenTexts, Tensor<float> Contributions, Tensor<float> Attention,
    IReadOnlyList<float> PreActivations, IReadOnlyList<float> Activations)
{
    /// <summary>The token at which the head is most active.</summary>
    public int Peak
    {
        get
        {
            var activations = Activations.ToArray();
            return TensorPrimitives.IndexOfMax<float>(activations);
        }
    }

    /// <summary>The contributions at one token, largest in size first.</summary>
    /// <param name="position">The token.</param>
    /// <returns>Source position and contribution.</returns>
    public IReadOnlyList<(int Position, float Contribution)> At(int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Tokens.Count);
        return [.. Enumerable.Range(0, position + 1).Select(s => (s, Contributions[position, s])).OrderByDescending(pair => Math.Abs(pair.Item2))];
    }
}
