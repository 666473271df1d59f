using System.Numerics.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace HeadScope;

/// <summary>An active head at a token.</summary>
/// <param name="Head">The OV head.</param>
/// <param name="Activation">a, its activation: the weight of its output vector.</param>
public readonly record struct ActiveHead(int Head, float Activation);

/// <summary>What the heads of a Lorsa do on some sequences.</summary>
public sealed class LorsaActivations
{
    private readonly LorsaModel lorsa;

    internal LorsaActivations(LorsaModel lorsa, LorsaPass pass) => (this.lorsa, Pass) = (lorsa, pass);

    /// <summary>B, the number of sequences.</summary>
    public int Sequences => Pass.Batch;

    /// <summary>T, the number of tokens of each.</summary>
    public int Length => Pass.Length;

    /// <summary>z, before the choice of active heads, [B, T, n], fp32.</summary>
    public Tensor PreActivations => tensor(Pass.PreActivations, [Sequences, Length, lorsa.Config.Heads]);

    /// <summary>The predicted attention output in the units of the model, [B, T, d], fp32.</summary>
    public Tensor Output => tensor(OutputNumbers(), [Sequences, Length, lorsa.Config.ModelWidth]);

    internal LorsaPass Pass { get; }

    /// <summary>The active heads at a token, by head.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="position">The token.</param>
    /// <returns>Head and activation; silent heads are left out.</returns>
    public IReadOnlyList<ActiveHead> ActiveAt(int sequence, int position)
    {
        var t = Token(sequence, position);
        var entries = Pass.Entries;
        return [.. Enumerable.Range(t * entries.Capacity, entries.MainCount[t])
            .Where(j => entries.Value[j] != 0)
            .Select(j => new ActiveHead(entries.Head[j], entries.Value[j]))];
    }

    /// <summary>The attention pattern of a QK head at a token.</summary>
    /// <param name="qkHead">The QK head.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="position">The token that attends.</param>
    /// <returns>Its weights over the tokens up to itself, summing to 1, [position + 1], fp32.</returns>
    public Tensor PatternAt(int qkHead, int sequence, int position) => tensor(Pattern(qkHead, sequence, position).ToArray());

    /// <summary>How much each earlier token adds to z of a head at a token: <c>P(t, s) v(s)</c>, which sums to z.</summary>
    /// <param name="head">The OV head.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="position">t, the token that attends.</param>
    /// <returns>The contributions of the tokens up to itself, [position + 1], fp32.</returns>
    public Tensor ZPatternAt(int head, int sequence, int position) => tensor(ZPattern(head, sequence, position));

    /// <summary>The numbers of <see cref="Output"/>.</summary>
    internal float[] OutputNumbers()
    {
        var output = new float[Pass.Reconstruction.Length];
        TensorPrimitives.Multiply(Pass.Reconstruction, 1 / lorsa.OutputScale, output);
        return output;
    }

    /// <summary>The numbers of <see cref="PatternAt"/>.</summary>
    internal ReadOnlySpan<float> Pattern(int qkHead, int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(qkHead);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(qkHead, lorsa.Config.QkHeads);
        return Pass.Patterns.AsSpan(((qkHead * Pass.Tokens) + Token(sequence, position)) * Length, position + 1);
    }

    /// <summary>The numbers of <see cref="ZPatternAt"/>.</summary>
    internal float[] ZPattern(int head, int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, lorsa.Config.Heads);
        var contributions = Pattern(lorsa.Config.QkHeadOf(head), sequence, position).ToArray();
        TensorPrimitives.Multiply(
            contributions, Pass.Values.AsSpan((head * Pass.Tokens) + (sequence * Length), position + 1), contributions);
        return contributions;
    }

    private int Token(int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sequence);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence, Sequences);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Length);
        return (sequence * Length) + position;
    }
}
