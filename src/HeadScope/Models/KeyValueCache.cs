namespace HeadScope;

/// <summary>The keys (after rotation) and values of the tokens a batch has had so far, so that a later pass computes only new tokens. Grows as
/// needed. Not for use by several passes at once.</summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Model model;
    private int[] lengths;
    private readonly (Tensor Keys, Tensor Values)?[] layers;
    private bool isDisposed;

    /// <summary>An empty cache.</summary>
    /// <param name="model">The model it is for.</param>
    /// <param name="sequences">The number of sequences of the batch.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 1.</exception>
    public KeyValueCache(Model model, int sequences = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        this.model = model;
        lengths = new int[sequences];
        layers = new (Tensor, Tensor)?[model.Config.LayerCount];
    }

    /// <summary>The number of tokens so far of each sequence.</summary>
    public IReadOnlyList<int> Lengths => lengths;

    /// <summary>Forgets the last tokens of each sequence, so that a pass over them can be run again, with other tokens or hooks.</summary>
    /// <param name="tokens">How many; a sequence that has fewer forgets all.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 0.</exception>
    public void RemoveLast(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        lengths = Array.ConvertAll(lengths, length => Math.Max(0, length - tokens));
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        isDisposed = true;
        foreach (var layer in layers)
        {
            layer?.Keys.Dispose();
            layer?.Values.Dispose();
        }

        Array.Clear(layers);
        Array.Clear(lengths);
    }

    internal int[] RequireFit(Model user, int sequences)
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        Fault.ArgumentIf(!ReferenceEquals(model, user), $"The cache was made for another model; one that was loaded again or made by With is another.");
        Fault.ArgumentIf(lengths.Length != sequences, $"The cache is for {lengths.Length} sequences; the batch has {sequences}.");
        return [.. lengths];
    }

    /// <summary>The keys and values of a layer with those of a pass behind them, [batch, key head, key, d_head]. They count only
    /// after <see cref="Advance"/>.</summary>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values, ForwardRun run)
    {
        var store = layers[layer] is { } room && room.Keys.shape[2] >= run.Keys ? room : Grow(layer, keys, run.Keys);
        foreach (var (target, source) in new[] { (store.Keys, keys), (store.Values, values) })
        {
            if (run.SharesPast)
            {
                target.narrow(2, run.Past[0], run.Longest).copy_(source);
                continue;
            }

            for (var b = 0; b < lengths.Length; b++)
            {
                target.select(0, b).narrow(1, run.Past[b], run.Lengths[b]).copy_(source.select(0, b).narrow(1, 0, run.Lengths[b]));
            }
        }

        return (store.Keys.narrow(2, 0, run.Keys), store.Values.narrow(2, 0, run.Keys));
    }

    internal void Advance(int[] counts) => lengths = [.. lengths.Zip(counts, (length, count) => length + count)];

    private (Tensor Keys, Tensor Values) Grow(int layer, Tensor like, int needed)
    {
        var old = layers[layer];
        long[] shape = [like.shape[0], like.shape[1], Math.Min(model.Config.ContextLength, Math.Max(needed, 2 * (old?.Keys.shape[2] ?? 0))), like.shape[3]];
        layers[layer] = (Larger(old?.Keys), Larger(old?.Values));
        return layers[layer]!.Value;

        Tensor Larger(Tensor? from)
        {
            // A user's inference mode would keep later passes from writing to it.
            using var ordinary = inference_mode(false);
            var larger = zeros(shape, like.dtype, like.device).DetachFromDisposeScope();
            if (from is not null)
            {
                larger.narrow(2, 0, from.shape[2]).copy_(from);
                from.Dispose();
            }

            return larger;
        }
    }
}
