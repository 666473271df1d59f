using System.Numerics;
using System.Runtime.CompilerServices;

namespace HeadScope;

/// <summary>A tile of 6 rows by 2 vectors of whatever width the machine has, multiplied and added in one step where it can.</summary>
internal readonly unsafe struct TilePortable : IProductTile
{
    public static int Rows => 6;

    public static int Columns => 2 * Vector<float>.Count;

    public static int Depth => 256;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TRows>(
        int depth, float* a, nint aRow, float* b, nint bStep, float* c, nint cRow, bool accumulate)
        where TRows : struct, ICount
    {
        Vector<float> c0x0 = default, c0x1 = default;
        Vector<float> c1x0 = default, c1x1 = default;
        Vector<float> c2x0 = default, c2x1 = default;
        Vector<float> c3x0 = default, c3x1 = default;
        Vector<float> c4x0 = default, c4x1 = default;
        Vector<float> c5x0 = default, c5x1 = default;
        var aRow2 = 2 * aRow;
        var a3 = a + (3 * aRow);
        for (; depth > 0; depth--)
        {
            var b0 = Unsafe.ReadUnaligned<Vector<float>>(b);
            var b1 = Unsafe.ReadUnaligned<Vector<float>>(b + Vector<float>.Count);
            var x0 = new Vector<float>(*a);
            c0x0 = Vector.MultiplyAddEstimate(x0, b0, c0x0);
            c0x1 = Vector.MultiplyAddEstimate(x0, b1, c0x1);

            if (TRows.Value > 1)
            {
                var x = new Vector<float>(a[aRow]);
                c1x0 = Vector.MultiplyAddEstimate(x, b0, c1x0);
                c1x1 = Vector.MultiplyAddEstimate(x, b1, c1x1);
            }

            if (TRows.Value > 2)
            {
                var x = new Vector<float>(a[aRow2]);
                c2x0 = Vector.MultiplyAddEstimate(x, b0, c2x0);
                c2x1 = Vector.MultiplyAddEstimate(x, b1, c2x1);
            }

            if (TRows.Value > 3)
            {
                var x = new Vector<float>(*a3);
                c3x0 = Vector.MultiplyAddEstimate(x, b0, c3x0);
                c3x1 = Vector.MultiplyAddEstimate(x, b1, c3x1);
            }

            if (TRows.Value > 4)
            {
                var x = new Vector<float>(a3[aRow]);
                c4x0 = Vector.MultiplyAddEstimate(x, b0, c4x0);
                c4x1 = Vector.MultiplyAddEstimate(x, b1, c4x1);
            }

            if (TRows.Value > 5)
            {
                var x = new Vector<float>(a3[aRow2]);
                c5x0 = Vector.MultiplyAddEstimate(x, b0, c5x0);
                c5x1 = Vector.MultiplyAddEstimate(x, b1, c5x1);
            }

            a++;
            a3++;
            b += bStep;
        }

        Put(c, c0x0, c0x1, accumulate);

        if (TRows.Value > 1)
        {
            Put(c + (1 * cRow), c1x0, c1x1, accumulate);
        }

        if (TRows.Value > 2)
        {
            Put(c + (2 * cRow), c2x0, c2x1, accumulate);
        }

        if (TRows.Value > 3)
        {
            Put(c + (3 * cRow), c3x0, c3x1, accumulate);
        }

        if (TRows.Value > 4)
        {
            Put(c + (4 * cRow), c4x0, c4x1, accumulate);
        }

        if (TRows.Value > 5)
        {
            Put(c + (5 * cRow), c5x0, c5x1, accumulate);
        }
    }

    private static void Put(float* c, Vector<float> left, Vector<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Unsafe.ReadUnaligned<Vector<float>>(c);
            right += Unsafe.ReadUnaligned<Vector<float>>(c + Vector<float>.Count);
        }

        Unsafe.WriteUnaligned(c, left);
        Unsafe.WriteUnaligned(c + Vector<float>.Count, right);
    }
}
