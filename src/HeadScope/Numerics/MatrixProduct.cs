using System.Numerics.Tensors;

namespace HeadScope.Numerics;

/// <summary>The matrix product in fp32.</summary>
public static class MatrixProduct
{
    /// <summary>C = A B, or C = A B + C.</summary>
    /// <param name="a">A, [m, k].</param>
    /// <param name="b">B, [k, n].</param>
    /// <param name="c">C, [m, n]; must not overlap A or B.</param>
    /// <param name="accumulate">Whether the product is added to what C holds.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static void Multiply(ReadOnlyMatrix a, ReadOnlyMatrix b, Matrix c, bool accumulate = false)
    {
        if (a.Columns != b.Rows || c.Rows != a.Rows || c.Columns != b.Columns)
        {
            throw new ArgumentException(
                $"Shapes do not fit: [{a.Rows}, {a.Columns}] · [{b.Rows}, {b.Columns}] into [{c.Rows}, {c.Columns}].");
        }

        var rows = b.IsTransposed ? new ReadOnlyMatrix(b.ToArray(), b.Rows, b.Columns) : b;
        for (var i = 0; i < a.Rows; i++)
        {
            var row = c.Row(i);
            if (!accumulate)
            {
                row.Clear();
            }

            for (var p = 0; p < a.Columns; p++)
            {
                TensorPrimitives.MultiplyAdd(rows.Row(p), a[i, p], row, row);
            }
        }
    }
}
