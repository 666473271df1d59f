using System.Numerics;

namespace HeadScope;

/// <summary>The largest few of many numbers.</summary>
internal static class TopK
{
    /// <summary>
    /// Finds the largest numbers, largest first; of equal numbers the one with the lower index comes first, and NaN comes last.
    /// </summary>
    /// <param name="values">The numbers.</param>
    /// <param name="indices">Room for k indices, k being the length; k must not exceed the number of values.</param>
    /// <param name="top">Room for the k numbers; empty when they are not wanted.</param>
    /// <remarks>Takes O(n + s log k), s being how often a number enters the list: for numbers in random order about k ln(n/k).</remarks>
    /// <exception cref="ArgumentException">k exceeds the number of values, or <paramref name="top"/> has another length.</exception>
    public static void Of(ReadOnlySpan<float> values, Span<int> indices, Span<float> top = default)
    {
        if (indices.Length > values.Length)
        {
            throw new ArgumentException($"There are no {indices.Length} largest of {values.Length} numbers.", nameof(indices));
        }

        if (!top.IsEmpty && top.Length != indices.Length)
        {
            throw new ArgumentException($"{indices.Length} numbers do not fit room for {top.Length}.", nameof(top));
        }

        if (indices.IsEmpty)
        {
            return;
        }

        // A heap of the k best so far with the worst of them at its root: the number to beat.
        var heap = indices;
        for (var i = 0; i < heap.Length; i++)
        {
            heap[i] = i;
        }

        for (var i = (heap.Length / 2) - 1; i >= 0; i--)
        {
            SiftDown(values, heap, i);
        }

        for (var i = FirstAbove(values, heap.Length, values[heap[0]]); i < values.Length; i = FirstAbove(values, i + 1, values[heap[0]]))
        {
            if (IsBetter(values, i, heap[0]))
            {
                heap[0] = i;
                SiftDown(values, heap, 0);
            }
        }

        for (var last = heap.Length - 1; last > 0; last--)
        {
            (heap[0], heap[last]) = (heap[last], heap[0]);
            SiftDown(values, heap[..last], 0);
        }

        for (var i = 0; i < top.Length; i++)
        {
            top[i] = values[indices[i]];
        }
    }

    /// <summary>Finds the largest numbers, largest first; of equal numbers the one with the lower index comes first.</summary>
    /// <param name="values">The numbers.</param>
    /// <param name="k">How many are wanted; all when there are fewer.</param>
    /// <returns>Their indices.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is negative.</exception>
    public static int[] Indices(ReadOnlySpan<float> values, int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        var indices = new int[Math.Min(k, values.Length)];
        Of(values, indices);
        return indices;
    }

    // The first index from start on whose number is above the one to beat (or not comparable).
    private static int FirstAbove(ReadOnlySpan<float> values, int start, float threshold)
    {
        var limit = new Vector<float>(threshold);
        var i = start;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            if (!Vector.LessThanOrEqualAll(new Vector<float>(values[i..]), limit))
            {
                break;
            }
        }

        while (i < values.Length && values[i] <= threshold)
        {
            i++;
        }

        return i;
    }

    private static bool IsBetter(ReadOnlySpan<float> values, int index, int than)
    {
        var order = values[index].CompareTo(values[than]);
        return order > 0 || (order == 0 && index < than);
    }

    private static void SiftDown(ReadOnlySpan<float> values, Span<int> heap, int node)
    {
        var moved = heap[node];
        for (var child = (2 * node) + 1; child < heap.Length; child = (2 * node) + 1)
        {
            if (child + 1 < heap.Length && IsBetter(values, heap[child], heap[child + 1]))
            {
                child++;
            }

            if (!IsBetter(values, moved, heap[child]))
            {
                break;
            }

            heap[node] = heap[child];
            node = child;
        }

        heap[node] = moved;
    }
}
