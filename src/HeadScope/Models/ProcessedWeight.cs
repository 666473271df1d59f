namespace HeadScope;

/// <summary>
/// A matrix computed from another one as it is read: rows or columns scaled, then the mean of each row or each column taken away.
/// Nothing is computed before it is asked for, so that processing a big model costs nothing for the layers nobody looks at.
/// Arithmetic is fp64, rounded once.
/// </summary>
/// <param name="source">The matrix as it was.</param>
/// <param name="rowScale">A factor for each row; null for 1.</param>
/// <param name="columnScale">A factor for each column; null for 1.</param>
/// <param name="centering">What gets mean 0 after scaling.</param>
internal sealed class ProcessedWeight(
    Weight source, Func<float[]>? rowScale, Func<float[]>? columnScale, ProcessedWeight.Centering centering)
    : Weight(source.Rows, source.Columns)
{
    private readonly Lazy<float[]?> rowFactors = new(() => rowScale?.Invoke());
    private readonly Lazy<float[]?> columnFactors = new(() => columnScale?.Invoke());
    private Lazy<double[]>? means;

    /// <summary>What gets mean 0.</summary>
    public enum Centering
    {
        /// <summary>Nothing.</summary>
        None,

        /// <summary>Each row.</summary>
        Rows,

        /// <summary>Each column.</summary>
        Columns,
    }

    // The means over the direction that a partial read does not see whole.
    private double[] Means => LazyInitializer.EnsureInitialized(ref means, () => new(ComputeMeans)).Value;

    /// <inheritdoc/>
    protected override void DecodeRows(int first, int count, Span<float> destination)
    {
        source.ReadRows(first, count, destination);
        var work = new double[Columns];
        for (var row = 0; row < count; row++)
        {
            var target = destination.Slice(row * Columns, Columns);
            Scale(target, first + row, 0, work);
            var mean = centering == Centering.Rows ? Mean(work) : 0;
            for (var i = 0; i < work.Length; i++)
            {
                target[i] = (float)(work[i] - (centering == Centering.Columns ? Means[i] : mean));
            }
        }
    }

    /// <inheritdoc/>
    protected override void DecodeColumns(int first, int count, Span<float> destination)
    {
        source.ReadColumns(first, count, destination);
        var work = new double[count];
        var sums = new double[count];
        if (centering == Centering.Columns)
        {
            for (var row = 0; row < Rows; row++)
            {
                Scale(destination.Slice(row * count, count), row, first, work);
                for (var i = 0; i < count; i++)
                {
                    sums[i] += work[i] / Rows;
                }
            }
        }

        for (var row = 0; row < Rows; row++)
        {
            var target = destination.Slice(row * count, count);
            Scale(target, row, first, work);
            for (var i = 0; i < count; i++)
            {
                target[i] = (float)(work[i] - (centering == Centering.Rows ? Means[row] : sums[i]));
            }
        }
    }

    private static double Mean(double[] numbers)
    {
        var sum = 0.0;
        foreach (var number in numbers)
        {
            sum += number;
        }

        return sum / numbers.Length;
    }

    private void Scale(ReadOnlySpan<float> numbers, int row, int firstColumn, double[] scaled)
    {
        var factor = rowFactors.Value is { } rowsBy ? rowsBy[row] : 1.0;
        var columnsBy = columnFactors.Value;
        for (var i = 0; i < numbers.Length; i++)
        {
            scaled[i] = numbers[i] * factor * (columnsBy is null ? 1.0 : columnsBy[firstColumn + i]);
        }
    }

    private double[] ComputeMeans()
    {
        if (centering == Centering.Rows)
        {
            var rowMeans = new double[Rows];
            source.ForEachChunk((_, first, part) =>
            {
                var work = new double[Columns];
                for (var row = 0; row < part.Rows; row++)
                {
                    Scale(part.Row(row), first + row, 0, work);
                    rowMeans[first + row] = Mean(work);
                }
            });
            return rowMeans;
        }

        var sums = new double[source.ChunkCount][];
        source.ForEachChunk((chunk, first, part) =>
        {
            var work = new double[Columns];
            var sum = sums[chunk] = new double[Columns];
            for (var row = 0; row < part.Rows; row++)
            {
                Scale(part.Row(row), first + row, 0, work);
                for (var i = 0; i < sum.Length; i++)
                {
                    sum[i] += work[i];
                }
            }
        });
        var columnMeans = new double[Columns];
        foreach (var sum in sums)
        {
            for (var i = 0; i < sum.Length; i++)
            {
                columnMeans[i] += sum[i] / Rows;
            }
        }

        return columnMeans;
    }
}
