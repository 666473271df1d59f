namespace HeadScope;

/// <summary>Projections with their vectors in the residual stream, [count, width]; those that are decided drop out.</summary>
internal sealed class ProjectionRows(int width)
{
    private float[] values = [];
    private Projection[] items = [];

    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The memory that the vectors take, in bytes.</summary>
    public long Bytes => (long)Count * width * sizeof(float);

    /// <summary>The projections.</summary>
    public Span<Projection> Items => items.AsSpan(0, Count);

    /// <summary>The vectors of neighbouring projections.</summary>
    public ReadOnlyMatrix Vectors(int first, int count) => new(values.AsSpan(first * width), count, width);

    /// <summary>The vector of one projection.</summary>
    public ReadOnlySpan<float> Vector(int index) => values.AsSpan(index * width, width);

    /// <summary>Makes room for more projections and returns their vectors' place; <see cref="Items"/> has them at the end.</summary>
    public Matrix Add(int count)
    {
        var needed = Count + count;
        if (items.Length < needed)
        {
            var room = Math.Max(needed, Math.Min(2 * items.Length, items.Length + 4096));
            Array.Resize(ref items, room);
            Array.Resize(ref values, checked(room * width));
        }

        var place = new Matrix(values.AsSpan(Count * width), count, width);
        Count = needed;
        return place;
    }

    /// <summary>Adds the projections of another list.</summary>
    public void Append(ProjectionRows other)
    {
        var first = Count;
        var place = Add(other.Count);
        other.values.AsSpan(0, other.Count * width).CopyTo(place.Values);
        other.Items.CopyTo(items.AsSpan(first));
    }

    /// <summary>Keeps the projections for which <paramref name="keep"/> holds, in their order.</summary>
    public void Keep(Func<Projection, bool> keep)
    {
        var kept = 0;
        for (var i = 0; i < Count; i++)
        {
            if (!keep(items[i]))
            {
                continue;
            }

            if (kept != i)
            {
                items[kept] = items[i];
                Vector(i).CopyTo(values.AsSpan(kept * width));
            }

            kept++;
        }

        Count = kept;
    }

    /// <summary>Drops all.</summary>
    public void Clear() => Count = 0;

    /// <summary>Drops all and gives the memory back.</summary>
    public void Release()
    {
        Count = 0;
        items = [];
        values = [];
    }
}
