using System.Numerics.Tensors;

namespace HeadScope.Numerics;

/// <summary>The thin QR decomposition A = Q R in fp64 (Householder): Q has orthonormal columns, R is upper triangular.</summary>
/// <param name="Q">[rows, min(rows, columns)].</param>
/// <param name="R">[min(rows, columns), columns]; its diagonal may be negative, and holds zeros where A lacks rank.</param>
public sealed record ThinQr(Tensor<double> Q, Tensor<double> R)
{
    /// <summary>Decomposes a matrix of fp32 numbers.</summary>
    /// <param name="a">A; transposed and sliced views are welcome.</param>
    /// <returns>Q and R.</returns>
    public static ThinQr Of(ReadOnlyMatrix a)
    {
        var columns = new double[a.Columns * a.Rows];
        for (var j = 0; j < a.Columns; j++)
        {
            for (var i = 0; i < a.Rows; i++)
            {
                columns[(j * a.Rows) + i] = a[i, j];
            }
        }

        return Decompose(columns, a.Rows, a.Columns);
    }

    /// <summary>Decomposes a matrix of fp64 numbers.</summary>
    /// <param name="a">A, row by row.</param>
    /// <param name="rows">Its number of rows.</param>
    /// <param name="columns">Its number of columns.</param>
    /// <returns>Q and R.</returns>
    /// <exception cref="ArgumentException">The numbers do not fill that shape.</exception>
    public static ThinQr Of(ReadOnlySpan<double> a, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (a.Length != rows * columns)
        {
            throw new ArgumentException($"{a.Length} numbers do not fill a {rows} × {columns} matrix.", nameof(a));
        }

        var transposed = new double[a.Length];
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
            {
                transposed[(j * rows) + i] = a[(i * columns) + j];
            }
        }

        return Decompose(transposed, rows, columns);
    }

    // Works in place on A stored column by column, so that every reflection runs over contiguous numbers.
    private static ThinQr Decompose(double[] a, int rows, int columns)
    {
        var rank = Math.Min(rows, columns);
        var r = Tensor.CreateFromShape<double>([rank, columns]);
        var q = Tensor.CreateFromShape<double>([rows, rank]);
        var rs = r.AsFlatSpan();
        var scales = new double[rank];
        for (var p = 0; p < rank; p++)
        {
            // The reflection I - v vᵀ / scale maps this column to (diagonal, 0, …); v replaces the column.
            var v = a.AsSpan((p * rows) + p, rows - p);
            var norm = TensorPrimitives.Norm<double>(v);
            var diagonal = v[0] > 0 ? -norm : norm;
            v[0] -= diagonal;
            scales[p] = norm * Math.Abs(v[0]);
            rs[(p * columns) + p] = diagonal;
            for (var j = p + 1; j < columns; j++)
            {
                var column = a.AsSpan((j * rows) + p, rows - p);
                Reflect(v, scales[p], column);
                rs[(p * columns) + j] = column[0];
            }
        }

        var unit = new double[rows];
        for (var j = 0; j < rank; j++)
        {
            Array.Clear(unit);
            unit[j] = 1;
            for (var p = j; p >= 0; p--)
            {
                Reflect(a.AsSpan((p * rows) + p, rows - p), scales[p], unit.AsSpan(p));
            }

            var qs = q.AsFlatSpan();
            for (var i = 0; i < rows; i++)
            {
                qs[(i * rank) + j] = unit[i];
            }
        }

        return new ThinQr(q, r);
    }

    private static void Reflect(ReadOnlySpan<double> v, double scale, Span<double> x)
    {
        if (scale > 0)
        {
            TensorPrimitives.MultiplyAdd(v, -TensorPrimitives.Dot(v, x) / scale, x, x);
        }
    }
}
