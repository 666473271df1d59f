namespace HeadScope;

/// <summary>Sequences of attention inputs and outputs, all of one length; shorter ones are padded on the right.</summary>
/// <param name="Sequences">B, the number of sequences.</param>
/// <param name="Length">T, the number of tokens of each.</param>
/// <param name="Input">What the attention layer reads, in the units of the model, [B, T, d].</param>
/// <param name="Output">What it writes, [B, T, d].</param>
/// <param name="Mask">1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T].</param>
/// <param name="Tokens">The tokens, [B, T]; empty where there are none.</param>
public sealed record ActivationBatch(int Sequences, int Length, float[] Input, float[] Output, float[] Mask, int[] Tokens);

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
