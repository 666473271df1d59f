namespace HeadScope;

/// <summary>
/// A matrix of a checkpoint, as stored (row-major), decoded to fp32 when it is first used as a whole and kept until released. Blocks
/// of rows or columns can be read without decoding the rest. Safe to use from several threads.
/// </summary>
internal abstract class Weight(int rows, int columns)
{
    private const int NumbersPerChunk = 1 << 18;

    private readonly Lock gate = new();
    private volatile float[]? values;

    /// <summary>The number of stored rows.</summary>
    public int Rows { get; } = rows;

    /// <summary>The number of stored columns.</summary>
    public int Columns { get; } = columns;

    /// <summary>Whether the whole matrix is in memory.</summary>
    public bool IsDecoded => values is not null;

    /// <summary>The whole matrix, row by row; decoded at first use.</summary>
    public float[] Values
    {
        get
        {
            if (values is { } ready)
            {
                return ready;
            }

            lock (gate)
            {
                return values ??= Decode();
            }
        }
    }

    /// <summary>Forgets the decoded matrix; the next use decodes it again.</summary>
    public void Release() => values = null;

    /// <summary>Reads neighbouring rows without keeping them.</summary>
    public void ReadRows(int first, int count, Span<float> destination)
    {
        RequireRange(first, count, Rows, Columns, destination.Length);
        if (values is { } ready)
        {
            ready.AsSpan(first * Columns, count * Columns).CopyTo(destination);
        }
        else
        {
            DecodeRows(first, count, destination[..(count * Columns)]);
        }
    }

    /// <summary>Reads neighbouring columns, [Rows, count], without keeping them.</summary>
    public void ReadColumns(int first, int count, Span<float> destination)
    {
        RequireRange(first, count, Columns, Rows, destination.Length);
        if (values is { } ready)
        {
            for (var row = 0; row < Rows; row++)
            {
                ready.AsSpan((row * Columns) + first, count).CopyTo(destination[(row * count)..]);
            }
        }
        else
        {
            DecodeColumns(first, count, destination[..(count * Rows)]);
        }
    }

    /// <summary>Decodes the matrix chunk by chunk of rows, several at a time, without keeping it.</summary>
    /// <param name="visit">Takes the index of the chunk, its first row and its numbers.</param>
    public void ForEachChunk(Action<int, int, ReadOnlyMatrix> visit)
    {
        var rowsPerChunk = RowsPerChunk;
        Parallelism.For(ChunkCount, chunk =>
        {
            var first = chunk * rowsPerChunk;
            var count = Math.Min(rowsPerChunk, Rows - first);
            if (values is { } ready)
            {
                visit(chunk, first, new(ready.AsSpan(first * Columns, count * Columns), count, Columns));
                return;
            }

            var buffer = new float[count * Columns];
            DecodeRows(first, count, buffer);
            visit(chunk, first, new(buffer, count, Columns));
        });
    }

    /// <summary>How many chunks <see cref="ForEachChunk"/> visits; depends on the shape alone, so that sums over chunks do too.</summary>
    public int ChunkCount => (Rows + RowsPerChunk - 1) / RowsPerChunk;

    private int RowsPerChunk => Math.Max(1, NumbersPerChunk / Math.Max(1, Columns));

    /// <summary>Decodes neighbouring rows.</summary>
    protected abstract void DecodeRows(int first, int count, Span<float> destination);

    /// <summary>Decodes neighbouring columns, [Rows, count].</summary>
    protected abstract void DecodeColumns(int first, int count, Span<float> destination);

    private static void RequireRange(int first, int count, int length, int width, int room)
    {
        if (first < 0 || count < 0 || first > length - count)
        {
            throw new ArgumentOutOfRangeException(nameof(first), $"{first} to {first + count - 1} is not within 0 to {length - 1}.");
        }

        if (room < (long)count * width)
        {
            throw new ArgumentException($"The destination has room for {room} numbers; {count} × {width} are asked for.");
        }
    }

    private float[] Decode()
    {
        var all = GC.AllocateUninitializedArray<float>(checked(Rows * Columns));
        var rowsPerChunk = RowsPerChunk;
        Parallelism.For(ChunkCount, chunk =>
        {
            var first = chunk * rowsPerChunk;
            var count = Math.Min(rowsPerChunk, Rows - first);
            DecodeRows(first, count, all.AsSpan(first * Columns, count * Columns));
        });
        return all;
    }
}
