using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Sequences of attention inputs and outputs, all of one length; shorter ones are padded on the right.</summary>
public sealed record ActivationBatch
{
    /// <summary>Makes a batch of copies.</summary>
    /// <param name="input">What the attention layer reads, in the units of the model, [B, T, d].</param>
    /// <param name="output">What it writes, [B, T, d].</param>
    /// <param name="mask">1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T].</param>
    /// <param name="tokens">The tokens, [B, T]; null where there are none.</param>
    /// <exception cref="ArgumentException">The shapes do not fit each other.</exception>
    public ActivationBatch(Tensor input, Tensor output, Tensor mask, Tensor? tokens = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(mask);
        if (input.ndim != 3 || !output.shape.SequenceEqual(input.shape) || !mask.shape.SequenceEqual(input.shape[..2])
            || (tokens is not null && !tokens.shape.SequenceEqual(input.shape[..2])))
        {
            throw new ArgumentException(
                $"Input, output, mask and tokens have shapes {string.Join(", ", new[] { input, output, mask, tokens }.Select(given => $"[{string.Join(", ", given?.shape ?? [])}]"))}; "
                + "expected [sequences, tokens, d] twice and [sequences, tokens] twice.");
        }

        (Sequences, Length) = ((int)input.shape[0], (int)input.shape[1]);
        (InputNumbers, OutputNumbers, MaskNumbers) = (input.ToNumbers(), output.ToNumbers(), mask.ToNumbers());
        using var scope = NewDisposeScope();
        TokenNumbers = tokens?.to(int32).cpu().data<int>().ToArray() ?? [];
    }

    internal ActivationBatch(int sequences, int length, float[] input, float[] output, float[] mask, int[] tokens)
    {
        (Sequences, Length) = (sequences, length);
        (InputNumbers, OutputNumbers, MaskNumbers, TokenNumbers) = (input, output, mask, tokens);
    }

    /// <summary>B, the number of sequences.</summary>
    public int Sequences { get; }

    /// <summary>T, the number of tokens of each.</summary>
    public int Length { get; }

    /// <summary>What the attention layer reads, in the units of the model, [B, T, d], fp32.</summary>
    public Tensor Input => tensor(InputNumbers, [Sequences, Length, InputNumbers.Length / MaskNumbers.Length]);

    /// <summary>What it writes, [B, T, d], fp32.</summary>
    public Tensor Output => tensor(OutputNumbers, [Sequences, Length, OutputNumbers.Length / MaskNumbers.Length]);

    /// <summary>1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T], fp32.</summary>
    public Tensor Mask => tensor(MaskNumbers, [Sequences, Length]);

    /// <summary>The tokens, [B, T], int64; null where there are none.</summary>
    public Tensor? Tokens => TokenNumbers.Length == 0 ? null : tensor(TokenNumbers, [Sequences, Length], int64);

    internal float[] InputNumbers { get; }

    internal float[] OutputNumbers { get; }

    internal float[] MaskNumbers { get; }

    internal int[] TokenNumbers { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Sequences} sequences of {Length} tokens";
}

/// <summary>
/// Where a Lorsa's activations come from: a model on a corpus, saved shards, or a generator. The order of the training sequences depends
/// on nothing but how the source was made, so a position in it is a number.
/// </summary>
public abstract class ActivationSource
{
    /// <summary>d, the width of the activations.</summary>
    public abstract int ModelWidth { get; }

    /// <summary>Whether any sequences are held out from training.</summary>
    public abstract bool HasHeldOut { get; }

    /// <summary>The training batches from a position on, without end: a finite source begins again.</summary>
    /// <param name="firstSequence">How many sequences to leave out.</param>
    /// <param name="sequences">How many sequences make a batch.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The batches.</returns>
    /// <exception cref="InvalidDataException">The data cannot be read; the message names the place.</exception>
    public abstract IEnumerable<ActivationBatch> Batches(
        long firstSequence, int sequences, CancellationToken cancellationToken = default);

    /// <summary>The batches held out from training; few enough to be read at every evaluation.</summary>
    /// <param name="sequences">How many sequences make a batch, at most.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <returns>The batches.</returns>
    public abstract IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default);
}
