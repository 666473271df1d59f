namespace HeadScope;

/// <summary>A matrix read from a tensor of a file: the whole tensor, some of its columns, or its rows in another order.</summary>
/// <param name="file">The file.</param>
/// <param name="name">The tensor.</param>
/// <param name="rows">The number of rows of this matrix.</param>
/// <param name="columns">The number of columns of this matrix.</param>
/// <param name="tensorColumns">The number of columns of the tensor.</param>
/// <param name="firstColumn">The tensor's column where this matrix begins.</param>
/// <param name="rowMap">The tensor's row of each row; null when they are the same.</param>
internal sealed class StoredWeight(
    TensorFile file, string name, int rows, int columns, int tensorColumns, int firstColumn = 0, int[]? rowMap = null)
    : Weight(rows, columns)
{
    /// <inheritdoc/>
    protected override void DecodeRows(int first, int count, Span<float> destination)
    {
        for (var row = 0; row < count;)
        {
            var run = RunLength(first + row, count - row);
            file.Read(name, Start(first + row), destination.Slice(row * Columns, run * Columns));
            row += run;
        }
    }

    /// <inheritdoc/>
    protected override void DecodeColumns(int first, int count, Span<float> destination)
    {
        if (count == Columns)
        {
            DecodeRows(0, Rows, destination);
            return;
        }

        for (var row = 0; row < Rows; row++)
        {
            file.Read(name, Start(row) + first, destination.Slice(row * count, count));
        }
    }

    private long Start(int row) => ((long)(rowMap?[row] ?? row) * tensorColumns) + firstColumn;

    // How many rows from here lie one behind the other in the file.
    private int RunLength(int row, int limit)
    {
        if (Columns != tensorColumns)
        {
            return 1;
        }

        if (rowMap is null)
        {
            return limit;
        }

        var run = 1;
        while (run < limit && rowMap[row + run] == rowMap[row] + run)
        {
            run++;
        }

        return run;
    }
}
