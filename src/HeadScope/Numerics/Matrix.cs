namespace HeadScope;

/// <summary>A view of numbers as a matrix to write to: rows <see cref="Stride"/> apart.</summary>
internal readonly ref struct Matrix
{
    /// <summary>Views stored rows as a matrix.</summary>
    /// <param name="values">The numbers, row by row.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="columns">The number of columns.</param>
    /// <param name="stride">From one row to the next; 0 means <paramref name="columns"/>.</param>
    /// <exception cref="ArgumentException">The numbers do not fill that shape.</exception>
    public Matrix(Span<float> values, int rows, int columns, int stride = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        Values = values;
        Rows = rows;
        Columns = columns;
        Stride = stride == 0 ? columns : stride;
        RequireRoom(values.Length, rows, columns, Stride);
    }

    /// <summary>The numbers as stored.</summary>
    public Span<float> Values { get; }

    /// <summary>The number of rows.</summary>
    public int Rows { get; }

    /// <summary>The number of columns.</summary>
    public int Columns { get; }

    /// <summary>From one row to the next, in numbers.</summary>
    public int Stride { get; }

    /// <summary>The view as one to read from.</summary>
    /// <param name="matrix">The matrix.</param>
    public static implicit operator ReadOnlyMatrix(Matrix matrix) =>
        new(matrix.Values, matrix.Rows, matrix.Columns, matrix.Stride);

    /// <summary>One row.</summary>
    /// <param name="row">The row.</param>
    /// <returns>Its numbers.</returns>
    public Span<float> Row(int row) => Values.Slice(row * Stride, Columns);

    internal static void RequireRoom(int length, int rows, int columns, int stride)
    {
        if (stride < columns)
        {
            throw new ArgumentException($"A row of {columns} numbers does not fit a stride of {stride}.", nameof(stride));
        }

        var needed = rows == 0 || columns == 0 ? 0L : ((long)(rows - 1) * stride) + columns;
        if (length < needed)
        {
            throw new ArgumentException(
                $"A {rows} × {columns} matrix with stride {stride} needs {needed} numbers; there are {length}.", nameof(length));
        }
    }
}
