using System.Numerics.Tensors;
using MathNet.Numerics.LinearAlgebra.Double;

namespace HeadScope.Numerics;

/// <summary>
/// The singular value decomposition A = U diag(s) Vᵀ in fp64, for small matrices such as the core that two thin QRs leave
/// of a product of long factors.
/// </summary>
/// <param name="U">[rows, k] with k = min(rows, columns); orthonormal columns.</param>
/// <param name="SingularValues">[k], largest first.</param>
/// <param name="VTransposed">[k, columns]; orthonormal rows. The signs of a pair of vectors are arbitrary together.</param>
public sealed record SmallSvd(Tensor<double> U, Tensor<double> SingularValues, Tensor<double> VTransposed)
{
    /// <summary>Decomposes a matrix.</summary>
    /// <param name="a">A, row by row.</param>
    /// <param name="rows">Its number of rows.</param>
    /// <param name="columns">Its number of columns.</param>
    /// <returns>The decomposition.</returns>
    /// <exception cref="ArgumentException">The numbers do not fill that shape, or one is not finite.</exception>
    public static SmallSvd Of(ReadOnlySpan<double> a, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        if (a.Length != rows * columns)
        {
            throw new ArgumentException($"{a.Length} numbers do not fill a {rows} × {columns} matrix.", nameof(a));
        }

        if (!TensorPrimitives.IsFiniteAll(a))
        {
            throw new ArgumentException("A matrix with infinite numbers or NaN has no singular values.", nameof(a));
        }

        // MathNet stores column by column, so the rows handed over make Aᵀ = V diag(s) Uᵀ.
        var svd = new DenseMatrix(columns, rows, a.ToArray()).Svd(computeVectors: true);
        var k = Math.Min(rows, columns);
        var u = Tensor.CreateFromShape<double>([rows, k]);
        var s = Tensor.CreateFromShape<double>([k]);
        var v = Tensor.CreateFromShape<double>([k, columns]);
        for (var i = 0; i < k; i++)
        {
            s[i] = svd.S[i];
            for (var row = 0; row < rows; row++)
            {
                u[row, i] = svd.VT[i, row];
            }

            for (var column = 0; column < columns; column++)
            {
                v[i, column] = svd.U[column, i];
            }
        }

        return new SmallSvd(u, s, v);
    }
}
