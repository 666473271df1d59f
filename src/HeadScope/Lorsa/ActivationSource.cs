using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Sequences of attention inputs and outputs, all of one length; shorter ones are padded on the right.</summary>
public sealed partial record ActivationBatch
{
    /// <summary>Puts activations together.</summary>
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

        (Input, Output, Mask, Tokens) = (input, output, mask, tokens);
    }

    /// <summary>B, the number of sequences.</summary>
    public int Sequences => (int)Input.shape[0];

    /// <summary>T, the number of tokens of each.</summary>
    public int Length => (int)Input.shape[1];

    /// <summary>What the attention layer reads, in the units of the model, [B, T, d].</summary>
    public Tensor Input { get; }

    /// <summary>What it writes, [B, T, d].</summary>
    public Tensor Output { get; }

    /// <summary>1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T].</summary>
    public Tensor Mask { get; }

    /// <summary>The tokens, [B, T], int64; null where there are none.</summary>
    public Tensor? Tokens { get; }

    /// <inheritdoc/>
    public override string ToString() => $"{Sequences} sequences of {Length} tokens";
}

/// <summary>
/// Where a Lorsa's activations come from: a model on a corpus, a folder of saved ones, or a generator. The order of the training sequences
/// depends on nothing but how the source was made, so a position in it is a number.
/// </summary>
/// <remarks>The tensors of a batch live in the dispose scope that is open when the batch is asked for.</remarks>
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

    /// <summary>Opens a folder that <see cref="Save"/> wrote, or another program, of safetensors files with <c>hook_in</c> and <c>hook_out</c>
    /// [S, T, d], <c>mask</c> [S, T] and, where known, <c>tokens</c> [S, T]; all files have the same T and d.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="heldOutSequences">How many sequences, from the first on, are held out from training.</param>
    /// <returns>The source; training takes the sequences in the order of the files' names.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">A file holds something else, files do not fit each other, or there are too few.</exception>
    public static ActivationSource Open(string folder, int heldOutSequences = 32) => new ActivationShards(folder, heldOutSequences);

    /// <summary>
    /// Saves activations, so that several trainings share one run of the model, or a model that is not here can be learnt from: the held-out
    /// sequences first, then training ones.
    /// </summary>
    /// <param name="folder">The folder; made when missing.</param>
    /// <param name="sequences">How many training sequences to save.</param>
    /// <param name="sequencesPerFile">How many go into one file.</param>
    /// <param name="dtype">Float32, Float16 or BFloat16.</param>
    /// <param name="progress">Where progress goes; null for nowhere.</param>
    /// <param name="cancellationToken">Stops between files.</param>
    public void Save(
        string folder, int sequences, int sequencesPerFile = 64, ScalarType dtype = ScalarType.Float32,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentOutOfRangeException.ThrowIfLessThan(sequencesPerFile, 1);
        var training = Batches(0, sequencesPerFile, cancellationToken).Take((sequences + sequencesPerFile - 1) / sequencesPerFile);
        var number = 0;
        HeldOut(sequencesPerFile, cancellationToken).Concat(training).ForEach(cancellationToken, batch =>
        {
            var writer = new SafetensorsWriter();
            writer.Add("hook_in", batch.Input, dtype);
            writer.Add("hook_out", batch.Output, dtype);
            writer.Add("mask", batch.Mask);
            if (batch.Tokens is { } tokens)
            {
                writer.Add("tokens", tokens);
            }

            writer.Save(Path.Combine(folder, FormattableString.Invariant($"activations-{number++:d5}.safetensors")));
            progress?.Report(new WorkProgress("saving activations", (long)number * sequencesPerFile * batch.Length, 0, "tokens"));
        });
    }
}

/// <summary>Goes through batches.</summary>
internal static class ActivationBatches
{
    /// <summary>Does something with every batch, in a dispose scope of its own.</summary>
    public static void ForEach(this IEnumerable<ActivationBatch> batches, CancellationToken cancellationToken, Action<ActivationBatch> body)
    {
        using var all = batches.GetEnumerator();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            if (!all.MoveNext())
            {
                return;
            }

            body(all.Current);
        }
    }
}
