using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>The k largest of numbers that come block by block in the order of their ids; of equal numbers the one with the lower id.</summary>
internal sealed class RunningTop(int k)
{
    private readonly int[] ids = new int[k];
    private readonly float[] values = new float[k];

    /// <summary>How many there are: k once that many were offered.</summary>
    public int Count { get; private set; }

    /// <summary>The ids, the largest number's first.</summary>
    public ReadOnlySpan<int> Ids => ids.AsSpan(0, Count);

    /// <summary>The numbers, largest first.</summary>
    public ReadOnlySpan<float> Values => values.AsSpan(0, Count);

    /// <summary>Looks at the numbers of ids from <paramref name="first"/> on.</summary>
    public void Offer(ReadOnlySpan<float> block, int first)
    {
        if (block.IsEmpty || (Count == k && TensorPrimitives.Max(block) <= values[^1]))
        {
            return;
        }

        for (var i = 0; i < block.Length; i++)
        {
            if (Count < k || block[i] > values[^1])
            {
                Insert(first + i, block[i]);
            }
        }
    }

    private void Insert(int id, float value)
    {
        var at = Count < k ? Count++ : k - 1;
        for (; at > 0 && values[at - 1] < value; at--)
        {
            (ids[at], values[at]) = (ids[at - 1], values[at - 1]);
        }

        (ids[at], values[at]) = (id, value);
    }
}
