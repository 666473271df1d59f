namespace HeadScope;

/// <summary>
/// The heads that matter at each token of a batch, a short list per token, and the same entries listed per head. Entry j of token t is at
/// <c>t * Capacity + j</c> of the arrays.
/// </summary>
internal sealed class HeadEntries(int tokens, int heads)
{
    private int[] headStart = [];
    private int[] byHead = [];

    /// <summary>The number of entries there is room for at each token.</summary>
    public int Capacity { get; private set; }

    /// <summary>The entries of each token.</summary>
    public int[] Count { get; } = new int[tokens];

    /// <summary>The entries of each token that come from the sparsification; the rest are dead heads of the auxiliary loss.</summary>
    public int[] MainCount { get; } = new int[tokens];

    /// <summary>The head of each entry; ascending among the main entries of a token.</summary>
    public int[] Head { get; private set; } = [];

    /// <summary>a, the activation of each entry; 0 where a silent head is listed for its gradient.</summary>
    public float[] Value { get; private set; } = [];

    /// <summary>dL/dz of each entry.</summary>
    public float[] Gradient { get; private set; } = [];

    /// <summary>dL/d|w_O| of each entry, from penalties.</summary>
    public float[] NormGradient { get; private set; } = [];

    /// <summary>dL/dθ of each entry.</summary>
    public float[] ThresholdGradient { get; private set; } = [];

    /// <summary>Makes room for so many entries per token and forgets the old ones.</summary>
    public void Reset(int capacity)
    {
        if (capacity > Capacity)
        {
            Capacity = capacity;
            Head = new int[tokens * capacity];
            Value = new float[tokens * capacity];
            Gradient = [];
            NormGradient = [];
            ThresholdGradient = [];
        }

        Array.Clear(Count);
        Array.Clear(MainCount);
    }

    /// <summary>Makes room for gradients, all zero.</summary>
    public void ResetGradients(bool withPenalty, bool withThreshold)
    {
        Gradient = Cleared(Gradient, wanted: true);
        NormGradient = Cleared(NormGradient, withPenalty);
        ThresholdGradient = Cleared(ThresholdGradient, withThreshold);
    }

    /// <summary>The entries of a head in order of tokens, as indices into the arrays; after <see cref="ListByHead"/>.</summary>
    public ReadOnlySpan<int> OfHead(int head) => byHead.AsSpan(headStart[head]..headStart[head + 1]);

    /// <summary>Lists the entries by head.</summary>
    public void ListByHead()
    {
        headStart = headStart.Length == 0 ? new int[heads + 1] : headStart;
        Array.Clear(headStart);
        var total = 0;
        for (var t = 0; t < tokens; t++)
        {
            foreach (var head in Head.AsSpan(t * Capacity, Count[t]))
            {
                headStart[head + 1]++;
            }

            total += Count[t];
        }

        for (var i = 0; i < heads; i++)
        {
            headStart[i + 1] += headStart[i];
        }

        byHead = byHead.Length < total ? new int[total] : byHead;
        var next = headStart.AsSpan(0, heads).ToArray();
        for (var t = 0; t < tokens; t++)
        {
            for (var entry = t * Capacity; entry < (t * Capacity) + Count[t]; entry++)
            {
                byHead[next[Head[entry]]++] = entry;
            }
        }
    }

    private float[] Cleared(float[] array, bool wanted)
    {
        if (!wanted)
        {
            return [];
        }

        if (array.Length == Head.Length)
        {
            Array.Clear(array);
            return array;
        }

        return new float[Head.Length];
    }
}
