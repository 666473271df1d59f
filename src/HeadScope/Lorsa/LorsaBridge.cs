using System.Numerics.Tensors;
using static TorchSharp.torch;

namespace HeadScope;

// What the parts that still stand on arrays read of a Lorsa; it goes with the last of them.
public sealed partial class Lorsa
{
    private LorsaParameters? arrays;

    /// <summary>The parameters as arrays; copies.</summary>
    internal LorsaParameters Parameters
    {
        get
        {
            if (arrays is null)
            {
                var copy = new LorsaParameters(Config);
                foreach (var tensor in copy.All)
                {
                    Weight(tensor.Name).Copied<float>().CopyTo(tensor.Values, 0);
                }

                arrays = copy;
            }

            return arrays;
        }
    }

    internal static Lorsa Of(LorsaConfig config, LorsaParameters parameters, LorsaNormalization normalization, double inputNorm, double outputNorm,
        LorsaTrainingReport? report = null)
    {
        var lorsa = new Lorsa(config, normalization, inputNorm, outputNorm) { Training = report };
        lorsa.Fill(parameters);
        return lorsa;
    }

    internal void Fill(LorsaParameters numbers)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        foreach (var values in numbers.All)
        {
            Weight(values.Name).copy_(tensor(values.Values, values.Lengths));
        }
    }

    /// <summary>Runs inputs in the units of the model through the layer; the output is left in the units of the weights.</summary>
    internal LorsaPass Pass(ReadOnlySpan<float> input, int sequences, int length, LorsaPass? reuse = null)
    {
        var pass = reuse?.Batch == sequences && reuse.Length == length ? reuse : new LorsaPass(Config, sequences, length);
        var x = new float[input.Length];
        TensorPrimitives.Multiply(input, (float)InputScale, x);
        pass.Attend(Parameters, x);
        pass.Sparsify(Parameters, Config.TopK);
        pass.Decode(Parameters);
        return pass;
    }
}

/// <summary>An active head at a token.</summary>
internal readonly record struct ActiveHead(int Head, float Activation);

/// <summary>Activations as arrays.</summary>
internal sealed class ArrayActivations(Lorsa lorsa, LorsaPass pass)
{
    internal LorsaPass Pass => pass;

    /// <summary>The active heads at a token, by head.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="position">The token.</param>
    /// <returns>Head and activation; silent heads are left out.</returns>
    internal IReadOnlyList<ActiveHead> ActiveAt(int sequence, int position)
    {
        var t = Token(sequence, position);
        var entries = Pass.Entries;
        return [.. Enumerable.Range(t * entries.Capacity, entries.MainCount[t])
            .Where(j => entries.Value[j] != 0)
            .Select(j => new ActiveHead(entries.Head[j], entries.Value[j]))];
    }

    internal float[] OutputNumbers()
    {
        var output = new float[Pass.Reconstruction.Length];
        TensorPrimitives.Multiply(Pass.Reconstruction, 1 / (float)lorsa.OutputScale, output);
        return output;
    }

    internal ReadOnlySpan<float> Pattern(int qkHead, int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(qkHead);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(qkHead, lorsa.Config.QkHeads);
        return Pass.Patterns.AsSpan(((qkHead * Pass.Tokens) + Token(sequence, position)) * Pass.Length, position + 1);
    }

    internal float[] ZPattern(int head, int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, lorsa.Config.Heads);
        var contributions = Pattern(lorsa.Config.QkHeadOf(head), sequence, position).ToArray();
        TensorPrimitives.Multiply(
            contributions, Pass.Values.AsSpan((head * Pass.Tokens) + (sequence * Pass.Length), position + 1), contributions);
        return contributions;
    }

    private int Token(int sequence, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sequence);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence, Pass.Batch);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, Pass.Length);
        return (sequence * Pass.Length) + position;
    }
}
