namespace HeadScope;

/// <summary>
/// The keys (after rotation) and values of the tokens a batch has had so far, so that a later pass computes only new tokens. Grows as
/// needed. Not for use by several passes at once.
/// </summary>
public sealed class KeyValueCache
{
    private readonly int rowWidth;
    private readonly int[] lengths;
    private readonly float[][] keys;
    private readonly float[][] values;

    /// <summary>An empty cache.</summary>
    /// <param name="model">The model it is for.</param>
    /// <param name="sequences">The number of sequences of the batch.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 1.</exception>
    public KeyValueCache(Model model, int sequences = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(sequences, 1);
        Config = model.Config;
        rowWidth = Config.KeyValueHeadCount * Config.HeadWidth;
        lengths = new int[sequences];
        keys = new float[Config.LayerCount][];
        values = new float[Config.LayerCount][];
        Array.Fill(keys, []);
        Array.Fill(values, []);
    }

    /// <summary>The number of tokens so far of each sequence.</summary>
    public IReadOnlyList<int> Lengths => lengths;

    /// <summary>Forgets the last tokens of each sequence, so that a pass over them can be run again, with other tokens or hooks.</summary>
    /// <param name="tokens">How many; a sequence that has fewer forgets all.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 0.</exception>
    public void RemoveLast(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        for (var b = 0; b < lengths.Length; b++)
        {
            lengths[b] = Math.Max(0, lengths[b] - tokens);
        }
    }

    internal TransformerConfig Config { get; }

    /// <summary>How many tokens of each sequence there is room for.</summary>
    internal int Capacity { get; private set; }

    internal void Reserve(int tokens)
    {
        if (tokens <= Capacity)
        {
            return;
        }

        var capacity = Math.Min(Config.ContextLength, Math.Max(tokens, 2 * Capacity));
        foreach (var store in (float[][][])[keys, values])
        {
            for (var layer = 0; layer < store.Length; layer++)
            {
                var larger = new float[checked(lengths.Length * capacity * rowWidth)];
                for (var b = 0; b < lengths.Length; b++)
                {
                    store[layer].AsSpan(b * Capacity * rowWidth, lengths[b] * rowWidth)
                        .CopyTo(larger.AsSpan(b * capacity * rowWidth));
                }

                store[layer] = larger;
            }
        }

        Capacity = capacity;
    }

    /// <summary>Keys or values of a layer, [sequence, Capacity, head, d_head], with the given rows behind those of the tokens so far.
    /// They count only after <see cref="Advance"/>.</summary>
    internal float[] Append(bool ofKeys, int layer, float[] rows, int rowsPerSequence, int[] counts)
    {
        var store = (ofKeys ? keys : values)[layer];
        for (var b = 0; b < counts.Length; b++)
        {
            rows.AsSpan(b * rowsPerSequence * rowWidth, counts[b] * rowWidth)
                .CopyTo(store.AsSpan(((b * Capacity) + lengths[b]) * rowWidth));
        }

        return store;
    }

    internal void Advance(int[] counts)
    {
        for (var b = 0; b < counts.Length; b++)
        {
            lengths[b] += counts[b];
        }
    }
}
