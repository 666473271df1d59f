using System.Buffers;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The QR decomposition of a matrix in fp64 with Q kept as reflections, which is enough to apply it: <see cref="ThinQr"/> without making
/// Q. Four reflections at a time are found one by one, then applied to all columns behind them at once as I - V T Vᵀ with a triangular T
/// (Schreiber and Van Loan, 1989).
/// </summary>
internal sealed unsafe class HouseholderQr : IDisposable
{
    private const int BlockWidth = FourColumns.Count;

    private readonly Block[] blocks;
    private readonly double[] unused; // stands in where a pair has no second vector
    private double[]? columnsOfA;     // rented; A column by column, in time replaced by the vectors of the reflections

    private HouseholderQr(double[] transposed, int rows, int columns)
    {
        columnsOfA = transposed;
        unused = new double[rows];
        Rows = rows;
        Rank = Math.Min(rows, columns);
        R = Tensor.CreateFromShape<double>([Rank, columns]);
        blocks = new Block[(Rank + BlockWidth - 1) / BlockWidth];
        var r = R.AsFlatSpan();
        fixed (double* a = transposed, none = unused)
        {
            for (var b = 0; b < blocks.Length; b++)
            {
                var first = b * BlockWidth;
                var behind = Math.Min(first + BlockWidth, Rank);
                blocks[b] = new Block(transposed, rows, first, behind - first, r, columns);
                for (var j = behind; j < columns; j += 2)
                {
                    var x = a + (j * (nint)rows);
                    var y = j + 1 < columns ? x + rows : none;
                    blocks[b].Apply(x, y, transposed: true);
                    for (var p = first; p < behind; p++)
                    {
                        r[(p * columns) + j] = x[p];
                        if (y != none)
                        {
                            r[(p * columns) + j + 1] = y[p];
                        }
                    }
                }
            }
        }
    }

    /// <summary>The number of rows of A.</summary>
    public int Rows { get; }

    /// <summary>min(rows, columns).</summary>
    public int Rank { get; }

    /// <summary>R, [rank, columns].</summary>
    public Tensor<double> R { get; }

    /// <summary>Decomposes a matrix with one more row below it, or none.</summary>
    /// <exception cref="ArgumentException">The last row is not as long as the others.</exception>
    public static HouseholderQr Of(ReadOnlyMatrix a, ReadOnlySpan<float> lastRow)
    {
        if (!lastRow.IsEmpty && lastRow.Length != a.Columns)
        {
            throw new ArgumentException($"The last row holds {lastRow.Length} numbers; the others hold {a.Columns}.", nameof(lastRow));
        }

        // Rows first become neighbours: those of a head stand whole pages apart, which is no way to read them column by column.
        var rows = a.Rows + (lastRow.IsEmpty ? 0 : 1);
        var wide = ArrayPool<double>.Shared.Rent(rows * a.Columns);
        for (var i = 0; i < a.Rows; i++)
        {
            var row = wide.AsSpan(i * a.Columns, a.Columns);
            if (a.IsTransposed)
            {
                for (var j = 0; j < row.Length; j++)
                {
                    row[j] = a[i, j];
                }
            }
            else
            {
                TensorPrimitives.ConvertTruncating(a.Row(i), row);
            }
        }

        TensorPrimitives.ConvertTruncating(lastRow, wide.AsSpan(a.Rows * a.Columns));
        var qr = Of(wide.AsSpan(0, rows * a.Columns), rows, a.Columns);
        ArrayPool<double>.Shared.Return(wide);
        return qr;
    }

    /// <summary>Decomposes a matrix that is given row by row.</summary>
    /// <exception cref="ArgumentException">The numbers do not fill that shape.</exception>
    public static HouseholderQr Of(ReadOnlySpan<double> a, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (a.Length != rows * columns)
        {
            throw new ArgumentException($"{a.Length} numbers do not fill a {rows} × {columns} matrix.", nameof(a));
        }

        // A few columns at a time: what is read and what is written both stay in the cache.
        const int strip = 8;
        var transposed = ArrayPool<double>.Shared.Rent(a.Length);
        for (var first = 0; first < columns; first += strip)
        {
            var width = Math.Min(strip, columns - first);
            for (var i = 0; i < rows; i++)
            {
                var from = a.Slice((i * columns) + first, width);
                for (var j = 0; j < from.Length; j++)
                {
                    transposed[((first + j) * rows) + i] = from[j];
                }
            }
        }

        return new(transposed, rows, columns);
    }

    /// <summary>The columns of Q as rows, [rank, rows].</summary>
    public Tensor<double> QTransposed()
    {
        // Q = H₁ H₂ … applied to unit vectors; the reflections before a vector's own leave it as it is.
        var q = Tensor.CreateFromShape<double>([Rank, Rows]);
        var vectors = q.AsFlatSpan();
        for (var j = 0; j < Rank; j++)
        {
            vectors[(j * Rows) + j] = 1;
        }

        Apply(vectors, firstOfBlock: b => b * BlockWidth);
        return q;
    }

    /// <summary>Q times some vectors: those given in the basis of Q's columns, in the space of A's columns.</summary>
    /// <param name="vectors">[n, rank], row by row.</param>
    /// <returns>[n, rows].</returns>
    public double[] Expand(ReadOnlySpan<double> vectors)
    {
        var count = vectors.Length / Rank;
        var expanded = new double[count * Rows];
        for (var n = 0; n < count; n++)
        {
            vectors.Slice(n * Rank, Rank).CopyTo(expanded.AsSpan(n * Rows));
        }

        Apply(expanded, firstOfBlock: _ => 0);
        return expanded;
    }

    /// <summary>Gives the memory of the reflections back; they can not be applied any more.</summary>
    public void Dispose()
    {
        if (columnsOfA is not null)
        {
            ArrayPool<double>.Shared.Return(columnsOfA);
            columnsOfA = null;
        }
    }

    // Each block of reflections, the last one first, to the vectors from some one on; a block stays in the first cache meanwhile.
    private void Apply(Span<double> vectors, Func<int, int> firstOfBlock)
    {
        ObjectDisposedException.ThrowIf(columnsOfA is null, this);
        var count = Rows == 0 ? 0 : vectors.Length / Rows;
        fixed (double* start = vectors, none = unused)
        {
            for (var b = blocks.Length - 1; b >= 0; b--)
            {
                for (var n = firstOfBlock(b); n < count; n += 2)
                {
                    var x = start + (n * (nint)Rows);
                    blocks[b].Apply(x, n + 1 < count ? x + Rows : none, transposed: false);
                }
            }
        }
    }

    // Up to four reflections I - τ v vᵀ in one: I - V T Vᵀ.
    private sealed class Block
    {
        private readonly double[] vectors; // V, from the row of the first reflection on
        private readonly int start;
        private readonly int stride;
        private readonly int first;
        private readonly int length;
        private readonly double[] triangle = new double[BlockWidth * BlockWidth]; // T

        // Finds the reflections that clear some columns of A below the diagonal, and writes their part of R. V replaces the columns.
        public Block(double[] a, int rows, int first, int width, Span<double> r, int columns)
        {
            this.first = first;
            length = rows - first;
            stride = rows;
            vectors = a;
            start = (first * rows) + first;
            Span<double> along = stackalloc double[BlockWidth];
            for (var k = 0; k < width; k++)
            {
                // The reflection maps this column to (diagonal, 0, …); v is brought to the size of 1, so that no square overflows.
                var p = first + k;
                var v = Vector(k)[k..];
                var norm = TensorPrimitives.Norm<double>(v);
                r[(p * columns) + p] = v[0] > 0 ? -norm : norm;
                Vector(k)[..k].Clear();
                if (norm == 0)
                {
                    v.Clear();
                    continue;
                }

                TensorPrimitives.Divide(v, norm, v);
                v[0] += v[0] > 0 ? 1 : -1;
                var tau = 1 / Math.Abs(v[0]);
                for (var j = k + 1; j < width; j++)
                {
                    var column = Vector(j)[k..];
                    TensorPrimitives.MultiplyAdd(v, -tau * TensorPrimitives.Dot<double>(v, column), column, column);
                    r[(p * columns) + first + j] = column[0];
                }

                // The new column of T: τ, and above it -τ T Vᵀ v.
                for (var m = 0; m < k; m++)
                {
                    along[m] = TensorPrimitives.Dot<double>(Vector(m)[k..], v);
                }

                for (var m = 0; m < k; m++)
                {
                    triangle[(m * BlockWidth) + k] = -tau * TensorPrimitives.Dot(triangle.AsSpan((m * BlockWidth) + m, k - m), along[m..k]);
                }

                triangle[(k * BlockWidth) + k] = tau;
            }

            if (width < BlockWidth)
            {
                // The last block: other columns, or none, stand where its missing vectors would.
                var padded = new double[BlockWidth * length];
                for (var k = 0; k < width; k++)
                {
                    Vector(k).CopyTo(padded.AsSpan(k * length));
                }

                (vectors, start, stride) = (padded, 0, length);
            }
        }

        // Applies the reflections to two vectors as high as A: Q x, or Qᵀ x.
        public void Apply(double* x, double* y, bool transposed)
        {
            var along = stackalloc double[2 * BlockWidth];
            var factors = stackalloc double[2 * BlockWidth];
            fixed (double* v = &vectors[start])
            {
                FourColumns.Dot(v, stride, x + first, y + first, length, along);
                for (var i = 0; i < BlockWidth; i++)
                {
                    factors[i] = factors[BlockWidth + i] = 0;
                    for (var j = 0; j < BlockWidth; j++)
                    {
                        var t = transposed ? triangle[(j * BlockWidth) + i] : triangle[(i * BlockWidth) + j];
                        factors[i] -= t * along[j];
                        factors[BlockWidth + i] -= t * along[BlockWidth + j];
                    }
                }

                FourColumns.Add(v, stride, factors, x + first, y + first, length);
            }
        }

        private Span<double> Vector(int k) => vectors.AsSpan(start + (k * stride), length);
    }
}
