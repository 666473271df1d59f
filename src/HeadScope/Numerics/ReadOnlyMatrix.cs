namespace HeadScope;

/// <summary>
/// A view of numbers as a matrix: rows <see cref="Stride"/> apart, as stored or transposed. Slicing and transposing copy nothing,
/// so one head's block of a fused weight is a view too.
/// </summary>
internal readonly ref struct ReadOnlyMatrix
{
    /// <summary>Views stored rows as a matrix.</summary>
    /// <param name="values">The numbers, row by row.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="columns">The number of columns.</param>
    /// <param name="stride">From one row to the next; 0 means <paramref name="columns"/>.</param>
    /// <exception cref="ArgumentException">The numbers do not fill that shape.</exception>
    public ReadOnlyMatrix(ReadOnlySpan<float> values, int rows, int columns, int stride = 0)
        : this(values, rows, columns, stride == 0 ? columns : stride, isTransposed: false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        Matrix.RequireRoom(values.Length, rows, columns, Stride);
    }

    private ReadOnlyMatrix(ReadOnlySpan<float> values, int rows, int columns, int stride, bool isTransposed)
    {
        Values = values;
        Rows = rows;
        Columns = columns;
        Stride = stride;
        IsTransposed = isTransposed;
    }

    /// <summary>The numbers as stored.</summary>
    public ReadOnlySpan<float> Values { get; }

    /// <summary>The number of rows of the matrix as seen.</summary>
    public int Rows { get; }

    /// <summary>The number of columns of the matrix as seen.</summary>
    public int Columns { get; }

    /// <summary>From one stored row to the next, in numbers.</summary>
    public int Stride { get; }

    /// <summary>Whether what is seen as a row is stored as a column.</summary>
    public bool IsTransposed { get; }

    /// <summary>One number.</summary>
    /// <param name="row">Its row, as seen.</param>
    /// <param name="column">Its column, as seen.</param>
    public float this[int row, int column] => IsTransposed ? Values[(column * Stride) + row] : Values[(row * Stride) + column];

    /// <summary>The same numbers with rows and columns exchanged.</summary>
    /// <returns>The transposed view.</returns>
    public ReadOnlyMatrix Transpose() => new(Values, Columns, Rows, Stride, !IsTransposed);

    /// <summary>Some neighbouring rows, as a view.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">How many.</param>
    /// <returns>The view.</returns>
    public ReadOnlyMatrix SliceRows(int first, int count) => IsTransposed
        ? new(Values[first..], count, Columns, Stride, isTransposed: true)
        : new(Values[Math.Min(Values.Length, first * Stride)..], count, Columns, Stride, isTransposed: false);

    /// <summary>Some neighbouring columns, as a view.</summary>
    /// <param name="first">The first column.</param>
    /// <param name="count">How many.</param>
    /// <returns>The view.</returns>
    public ReadOnlyMatrix SliceColumns(int first, int count) => Transpose().SliceRows(first, count).Transpose();

    /// <summary>One row, where rows are stored as such.</summary>
    /// <param name="row">The row.</param>
    /// <returns>Its numbers.</returns>
    /// <exception cref="InvalidOperationException">The matrix is seen transposed: its rows are not contiguous.</exception>
    public ReadOnlySpan<float> Row(int row) => IsTransposed
        ? throw new InvalidOperationException("A row of a transposed view is not contiguous; copy the matrix first.")
        : Values.Slice(row * Stride, Columns);

    /// <summary>Copies the numbers, row by row as seen.</summary>
    /// <param name="destination">Room for <see cref="Rows"/> × <see cref="Columns"/> numbers.</param>
    public void CopyTo(Span<float> destination)
    {
        for (var i = 0; i < Rows; i++)
        {
            var row = destination.Slice(i * Columns, Columns);
            if (!IsTransposed)
            {
                Row(i).CopyTo(row);
                continue;
            }

            for (var j = 0; j < row.Length; j++)
            {
                row[j] = Values[(j * Stride) + i];
            }
        }
    }

    /// <summary>Copies the numbers, row by row as seen, into a new array.</summary>
    /// <returns>The array of <see cref="Rows"/> × <see cref="Columns"/> numbers.</returns>
    public float[] ToArray()
    {
        var copy = new float[Rows * Columns];
        CopyTo(copy);
        return copy;
    }
}
