using System.Numerics.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace HeadScope;

/// <summary>
/// A Low-Rank Sparse Attention layer (He et al. 2025, arXiv 2504.20938): what <see cref="LorsaTrainer"/> returns and
/// <see cref="Load"/> reads. Immutable; safe to use from several threads.
/// </summary>
public sealed partial class LorsaModel
{
    internal LorsaModel(
        LorsaConfig config, LorsaParameters parameters, LorsaNormalization normalization, double inputNorm, double outputNorm)
    {
        (Config, Parameters, Normalization) = (config, parameters, normalization);
        (InputNorm, OutputNorm) = (inputNorm, outputNorm);
        if (normalization == LorsaNormalization.Dataset && !(inputNorm > 0 && outputNorm > 0 && double.IsFinite(inputNorm + outputNorm)))
        {
            throw new ArgumentException(
                $"The mean norms of input and output are {inputNorm} and {outputNorm}; expected positive numbers to normalise by.");
        }
    }

    /// <summary>Its shape and rules.</summary>
    public LorsaConfig Config { get; }

    /// <summary>Whether inputs and outputs are normalised on the way in and out, or the weights are folded.</summary>
    public LorsaNormalization Normalization { get; }

    /// <summary>The mean norm of inputs in the units of the model, by which they are normalised; meaningless when folded.</summary>
    public double InputNorm { get; }

    /// <summary>The mean norm of outputs in the units of the model; meaningless when folded.</summary>
    public double OutputNorm { get; }

    /// <summary>How it was trained; null for a Lorsa that was loaded.</summary>
    public LorsaTrainingReport? Training { get; internal init; }

    /// <summary>
    /// The parameters by the names of Language-Model-SAEs: W_Q and W_K [G, d, e], b_Q and b_K [G, e], W_V and W_O [n, d], b_V [n], b_D [d] and
    /// so on, fp32, as they are stored (in normalised units unless folded). The tensors are copies.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> Tensors => Parameters.All.ToDictionary(
        parameter => parameter.Name, parameter => tensor(parameter.Values, parameter.Lengths), StringComparer.Ordinal);

    internal LorsaParameters Parameters { get; }

    /// <summary>What inputs are multiplied by before they meet the weights.</summary>
    internal float InputScale => Normalization == LorsaNormalization.None ? 1 : (float)(Math.Sqrt(Config.ModelWidth) / InputNorm);

    /// <summary>What outputs in the units of the model are multiplied by to become those of the weights.</summary>
    internal float OutputScale => Normalization == LorsaNormalization.None ? 1 : (float)(Math.Sqrt(Config.ModelWidth) / OutputNorm);

    /// <summary>Encodes attention inputs: z, the active heads, and the output they make.</summary>
    /// <param name="input">What the attention layer reads, in the units of the model: [T, d] or [B, T, d].</param>
    /// <returns>The activations.</returns>
    /// <exception cref="ArgumentException">The tensor has another width, or the sequences are longer than the context.</exception>
    public LorsaActivations Encode(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.ndim is not (2 or 3) || input.shape[^1] != Config.ModelWidth)
        {
            throw new ArgumentException(
                $"The input has shape [{string.Join(", ", input.shape)}]; expected [tokens, {Config.ModelWidth}] or "
                + $"[sequences, tokens, {Config.ModelWidth}].");
        }

        var sequences = input.ndim == 2 ? 1 : (int)input.shape[0];
        return new LorsaActivations(this, Pass(input.ToNumbers(), sequences, (int)input.shape[^2]));
    }

    /// <summary>The attention output that this Lorsa predicts.</summary>
    /// <param name="input">What the attention layer reads, in the units of the model: [T, d] or [B, T, d].</param>
    /// <returns>The output in the units of the model, of the same shape, fp32.</returns>
    /// <exception cref="ArgumentException">The tensor has another width, or the sequences are longer than the context.</exception>
    public Tensor Reconstruct(Tensor input) => tensor(Encode(input).OutputNumbers(), input.shape);

    /// <summary>
    /// The same Lorsa with the normalisation folded into its weights, so that they work in the units of the model. z and the output stay.
    /// </summary>
    /// <returns>The folded Lorsa; itself when it is folded already.</returns>
    /// <exception cref="NotSupportedException">Queries and keys are normalised: their epsilon would change its meaning.</exception>
    public LorsaModel FoldNormalization()
    {
        if (Normalization == LorsaNormalization.None)
        {
            return this;
        }

        if (Config.QkNorm)
        {
            throw new NotSupportedException(
                "A Lorsa with normalised queries and keys cannot be folded: the epsilon of that norm would weigh differently.");
        }

        var p = Copy();
        foreach (var weight in new[] { p.QueryWeight, p.KeyWeight, p.ValueWeight })
        {
            TensorPrimitives.Multiply(weight, InputScale, weight);
        }

        foreach (var weight in new[] { p.OutputWeight, p.OutputBias })
        {
            TensorPrimitives.Divide(weight, OutputScale, weight);
        }

        // JumpReLU gates z |w_O|, and |w_O| has just changed.
        var shift = Config.ScoreByOutputNorm ? -MathF.Log(OutputScale) : 0;
        TensorPrimitives.Add(p.LogThreshold, shift, p.LogThreshold);
        return new LorsaModel(Config, p, LorsaNormalization.None, InputNorm, OutputNorm) { Training = Training, Model = Model, IsFirstLayout = IsFirstLayout };
    }

    /// <summary>The same Lorsa with every w_O of length 1 and its length moved into w_V and b_V: z becomes z |w_O|, the output stays.</summary>
    /// <returns>The Lorsa with unit output vectors.</returns>
    /// <exception cref="NotSupportedException">
    /// Heads are chosen by z alone (<see cref="LorsaConfig.ScoreByOutputNorm"/>), so that the choice would change.
    /// </exception>
    public LorsaModel WithUnitOutputNorms()
    {
        if (!Config.ScoreByOutputNorm)
        {
            throw new NotSupportedException("This Lorsa chooses heads by z alone; moving norms into z would change the choice.");
        }

        var p = Copy();
        var d = Config.ModelWidth;
        var norms = p.OutputNorms(d);
        for (var i = 0; i < norms.Length; i++)
        {
            if (norms[i] > 0)
            {
                var read = p.ValueWeight.AsSpan(i * d, d);
                var write = p.OutputWeight.AsSpan(i * d, d);
                TensorPrimitives.Multiply(read, norms[i], read);
                TensorPrimitives.Divide(write, norms[i], write);
                p.ValueBias[i] *= norms[i];
            }
        }

        return new LorsaModel(Config, p, Normalization, InputNorm, OutputNorm) { Training = Training, Model = Model, IsFirstLayout = IsFirstLayout };
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"Lorsa of {Config.HookOut}: {Config.Heads} heads over {Config.QkHeads} QK heads, width {Config.ModelWidth}, "
        + $"{Config.Activation} {Config.TopK}";

    /// <summary>Runs inputs in the units of the model through the layer; the output is left in the units of the weights.</summary>
    internal LorsaPass Pass(ReadOnlySpan<float> input, int sequences, int length, LorsaPass? reuse = null)
    {
        var pass = reuse?.Batch == sequences && reuse.Length == length ? reuse : new LorsaPass(Config, sequences, length);
        var x = new float[input.Length];
        TensorPrimitives.Multiply(input, InputScale, x);
        pass.Attend(Parameters, x);
        pass.Sparsify(Parameters, Config.TopK);
        pass.Decode(Parameters);
        return pass;
    }

    private LorsaParameters Copy()
    {
        var copy = new LorsaParameters(Config);
        Parameters.CopyTo(copy);
        return copy;
    }
}
