using static TorchSharp.torch;

namespace HeadScope;

/// <summary>B sequences of attention inputs and outputs of one length T; shorter ones are padded on the right.</summary>
/// <param name="Input">What the attention layer reads, in the units of the model, [B, T, d].</param>
/// <param name="Output">What it writes, [B, T, d].</param>
/// <param name="Mask">1 for tokens that count, 0 for padding and the token at the beginning of a text, [B, T].</param>
/// <param name="Tokens">The tokens, [B, T]; null where there are none.</param>
internal sealed record ActivationBatch(Tensor Input, Tensor Output, Tensor Mask, Tensor? Tokens = null)
{
    /// <summary>B.</summary>
    public int Sequences => (int)Input.shape[0];

    /// <summary>T.</summary>
    public int Length => (int)Input.shape[1];
}

/// <summary>
/// Where a Lorsa's activations come from. The order of the training sequences depends on nothing but how the source was made, so a position in
/// it is a number. The tensors of a batch live in the dispose scope that is open when the batch is asked for.
/// </summary>
internal abstract class ActivationSource
{
    /// <summary>d, the width of the activations.</summary>
    public abstract int ModelWidth { get; }

    /// <summary>Whether any sequences are held out from training.</summary>
    public abstract bool HasHeldOut { get; }

    /// <summary>The training batches of so many sequences from a position on, without end: a finite source begins again.</summary>
    /// <exception cref="InvalidDataException">The data cannot be read; the message names the place.</exception>
    public abstract IEnumerable<ActivationBatch> Batches(long firstSequence, int sequences, CancellationToken cancellationToken = default);

    /// <summary>The batches held out from training; few enough to be read at every evaluation.</summary>
    public abstract IEnumerable<ActivationBatch> HeldOut(int sequences, CancellationToken cancellationToken = default);
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
