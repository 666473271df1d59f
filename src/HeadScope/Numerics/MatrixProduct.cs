using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace HeadScope;

/// <summary>The matrix product in fp32.</summary>
internal static class MatrixProduct
{
    /// <summary>C = A B, or C = A B + C.</summary>
    /// <param name="a">A, [m, k].</param>
    /// <param name="b">B, [k, n].</param>
    /// <param name="c">C, [m, n]; must not overlap A or B.</param>
    /// <param name="accumulate">Whether the product is added to what C holds.</param>
    /// <remarks>The result is the same, bit for bit, for any number of threads; it may differ between processors with different
    /// vector instructions.</remarks>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static void Multiply(ReadOnlyMatrix a, ReadOnlyMatrix b, Matrix c, bool accumulate = false)
    {
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
        {
            Multiply<Tile512>(a, b, c, accumulate);
        }
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported)
        {
            Multiply<Tile256>(a, b, c, accumulate);
        }
        else
        {
            Multiply<TilePortable>(a, b, c, accumulate);
        }
    }

    internal static unsafe void Multiply<TTile>(ReadOnlyMatrix a, ReadOnlyMatrix b, Matrix c, bool accumulate)
        where TTile : struct, IProductTile
    {
        if (a.Columns != b.Rows || c.Rows != a.Rows || c.Columns != b.Columns)
        {
            throw new ArgumentException(
                $"Shapes do not fit: [{a.Rows}, {a.Columns}] · [{b.Rows}, {b.Columns}] into [{c.Rows}, {c.Columns}].");
        }

        if (a.Columns == 0 && !accumulate)
        {
            for (var i = 0; i < c.Rows; i++)
            {
                c.Row(i).Clear();
            }
        }

        if (c.Rows == 0 || c.Columns == 0 || a.Columns == 0)
        {
            return;
        }

        fixed (float* pa = a.Values, pb = b.Values, pc = c.Values)
        {
            var operands = new ProductOperands
            {
                A = pa,
                B = pb,
                C = pc,
                ARow = a.IsTransposed ? 1 : a.Stride,
                AColumn = a.IsTransposed ? a.Stride : 1,
                BRow = b.IsTransposed ? 1 : b.Stride,
                BColumn = b.IsTransposed ? b.Stride : 1,
                CRow = c.Stride,
                M = c.Rows,
                N = c.Columns,
                K = a.Columns,
                Accumulate = accumulate,
            };
            // Up to these sizes the plainer ways are faster, as measured on AVX2. A dot product must be long to be worth its final sum.
            var mostToDot = Math.Min(384 / TTile.Columns, operands.K / 16);
            if (operands.M <= mostToDot && operands.BRow == 1)
            {
                DottedProduct.MultiplyFewRows(operands);
            }
            else if (operands.N <= mostToDot / 2 && operands.AColumn == 1)
            {
                DottedProduct.MultiplyFewColumns(operands);
            }
            else if (operands.M <= 3 && operands.BColumn == 1)
            {
                StreamedProduct.Multiply(operands);
            }
            else
            {
                TiledProduct<TTile>.Multiply(operands);
            }
        }
    }
}
