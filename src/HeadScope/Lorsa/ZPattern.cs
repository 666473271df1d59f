using System.Numerics.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace HeadScope;

/// <summary>
/// How the tokens of a text make up what a head gathers: the contribution of token s at token t is <c>P(t, s) v(s)</c>, and the
/// contributions at a token sum to its z.
/// </summary>
public sealed record ZPattern
{
    private readonly float[] contributions;
    private readonly float[] attention;

    internal ZPattern(
        int head, IReadOnlyList<int> tokens, IReadOnlyList<string> tokenTexts, float[] contributions, float[] attention,
        IReadOnlyList<float> preActivations, IReadOnlyList<float> activations)
    {
        (Head, Tokens, TokenTexts) = (head, tokens, tokenTexts);
        (this.contributions, this.attention) = (contributions, attention);
        (PreActivations, Activations) = (preActivations, activations);
    }

    /// <summary>The OV head.</summary>
    public int Head { get; }

    /// <summary>The tokens, T of them.</summary>
    public IReadOnlyList<int> Tokens { get; }

    /// <summary>Each token as text; empty where there is no tokenizer.</summary>
    public IReadOnlyList<string> TokenTexts { get; }

    /// <summary>What each token adds, [query, source], fp32; zero for later sources.</summary>
    public Tensor Contributions => tensor(contributions, [Tokens.Count, Tokens.Count]);

    /// <summary>P, the pattern of the QK head, [query, source], fp32.</summary>
    public Tensor Attention => tensor(attention, [Tokens.Count, Tokens.Count]);

    /// <summary>z of each token.</summary>
    public IReadOnlyList<float> PreActivations { get; }

    /// <summary>a of each token: z where the head is active, else 0.</summary>
    public IReadOnlyList<float> Activations { get; }

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
        return [.. Enumerable.Range(0, position + 1).Select(s => (s, contributions[(position * Tokens.Count) + s])).OrderByDescending(pair => Math.Abs(pair.Item2))];
    }

    /// <inheritdoc/>
    public override string ToString() => $"z-pattern of Lorsa head {Head} over {Tokens.Count} tokens";
}
