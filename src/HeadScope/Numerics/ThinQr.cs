using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>The thin QR decomposition A = Q R in fp64 (Householder): Q has orthonormal columns, R is upper triangular.</summary>
/// <param name="QTransposed">The columns of Q as rows, [min(rows, columns), rows].</param>
/// <param name="R">[min(rows, columns), columns]; its diagonal may be negative, and holds zeros where A lacks rank.</param>
internal sealed record ThinQr(Tensor<double> QTransposed, Tensor<double> R)
{
    /// <summary>Decomposes a matrix of fp32 numbers.</summary>
    /// <param name="a">A; transposed and sliced views are welcome.</param>
    /// <returns>Qᵀ and R.</returns>
    public static ThinQr Of(ReadOnlyMatrix a) => Of(a, []);

    /// <summary>Decomposes a matrix of fp32 numbers with one more row below it.</summary>
    /// <param name="a">A but for its last row.</param>
    /// <param name="lastRow">The last row; empty for none.</param>
    /// <returns>Qᵀ and R.</returns>
    /// <exception cref="ArgumentException">The last row is not as long as the others.</exception>
    public static ThinQr Of(ReadOnlyMatrix a, ReadOnlySpan<float> lastRow)
    {
        using var reflections = HouseholderQr.Of(a, lastRow);
        return new(reflections.QTransposed(), reflections.R);
    }

    /// <summary>Decomposes a matrix of fp64 numbers.</summary>
    /// <param name="a">A, row by row.</param>
    /// <param name="rows">Its number of rows.</param>
    /// <param name="columns">Its number of columns.</param>
    /// <returns>Qᵀ and R.</returns>
    /// <exception cref="ArgumentException">The numbers do not fill that shape.</exception>
    public static ThinQr Of(ReadOnlySpan<double> a, int rows, int columns)
    {
        using var reflections = HouseholderQr.Of(a, rows, columns);
        return new(reflections.QTransposed(), reflections.R);
    }

    /// <summary>Q times some vectors: those given in the basis of Q's columns, in the space of A's columns.</summary>
    /// <param name="vectors">[n, min(rows, columns)], row by row.</param>
    /// <returns>[n, rows].</returns>
    /// <exception cref="ArgumentException">The numbers do not fill rows of that length.</exception>
    public unsafe double[] Expand(ReadOnlySpan<double> vectors)
    {
        int rank = (int)QTransposed.Lengths[0], rows = (int)QTransposed.Lengths[1];
        if (rank == 0 || vectors.Length % rank != 0)
        {
            throw new ArgumentException($"{vectors.Length} numbers do not fill vectors of length {rank}.", nameof(vectors));
        }

        var count = vectors.Length / rank;
        var expanded = new double[count * rows];
        var q = QTransposed.AsFlatSpan();
        var (wholeBlocks, pairs) = (rank - (rank % FourColumns.Count), count - (count % 2));
        var factors = stackalloc double[2 * FourColumns.Count];
        fixed (double* basis = q, to = expanded)
        {
            // A block of Q stays in the first cache while all pairs of vectors pass by.
            for (var p = 0; p < wholeBlocks; p += FourColumns.Count)
            {
                for (var n = 0; n < pairs; n += 2)
                {
                    vectors.Slice((n * rank) + p, FourColumns.Count).CopyTo(new Span<double>(factors, FourColumns.Count));
                    vectors.Slice(((n + 1) * rank) + p, FourColumns.Count).CopyTo(new Span<double>(factors + FourColumns.Count, FourColumns.Count));
                    FourColumns.Add(basis + (p * (nint)rows), rows, factors, to + (n * (nint)rows), to + ((n + 1) * (nint)rows), rows);
                }
            }
        }

        for (var n = 0; n < count; n++)
        {
            var x = expanded.AsSpan(n * rows, rows);
            for (var p = n < pairs ? wholeBlocks : 0; p < rank; p++)
            {
                TensorPrimitives.MultiplyAdd(q.Slice(p * rows, rows), vectors[(n * rank) + p], x, x);
            }
        }

        return expanded;
    }
}
