using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace HeadScope;

/// <summary>A tile of 12 rows by 32 columns in 24 of the 32 registers of AVX-512.</summary>
internal readonly unsafe struct Tile512 : IProductTile
{
    public static int Rows => 12;

    public static int Columns => 32;

    public static int Depth => 384;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TRows>(
        int depth, float* a, nint aRow, float* b, nint bStep, float* c, nint cRow, bool accumulate)
        where TRows : struct, ICount
    {
        Vector512<float> c0x0 = default, c0x1 = default;
        Vector512<float> c1x0 = default, c1x1 = default;
        Vector512<float> c2x0 = default, c2x1 = default;
        Vector512<float> c3x0 = default, c3x1 = default;
        Vector512<float> c4x0 = default, c4x1 = default;
        Vector512<float> c5x0 = default, c5x1 = default;
        Vector512<float> c6x0 = default, c6x1 = default;
        Vector512<float> c7x0 = default, c7x1 = default;
        Vector512<float> c8x0 = default, c8x1 = default;
        Vector512<float> c9x0 = default, c9x1 = default;
        Vector512<float> c10x0 = default, c10x1 = default;
        Vector512<float> c11x0 = default, c11x1 = default;
        var aRow2 = 2 * aRow;
        var a3 = a + (3 * aRow);
        var a6 = a + (6 * aRow);
        var a9 = a + (9 * aRow);
        for (; depth > 0; depth--)
        {
            var b0 = Vector512.Load(b);
            var b1 = Vector512.Load(b + 16);
            var x0 = Vector512.Create(*a);
            c0x0 = Vector512.FusedMultiplyAdd(x0, b0, c0x0);
            c0x1 = Vector512.FusedMultiplyAdd(x0, b1, c0x1);

            if (TRows.Value > 1)
            {
                var x = Vector512.Create(a[aRow]);
                c1x0 = Vector512.FusedMultiplyAdd(x, b0, c1x0);
                c1x1 = Vector512.FusedMultiplyAdd(x, b1, c1x1);
            }

            if (TRows.Value > 2)
            {
                var x = Vector512.Create(a[aRow2]);
                c2x0 = Vector512.FusedMultiplyAdd(x, b0, c2x0);
                c2x1 = Vector512.FusedMultiplyAdd(x, b1, c2x1);
            }

            if (TRows.Value > 3)
            {
                var x = Vector512.Create(*a3);
                c3x0 = Vector512.FusedMultiplyAdd(x, b0, c3x0);
                c3x1 = Vector512.FusedMultiplyAdd(x, b1, c3x1);
            }

            if (TRows.Value > 4)
            {
                var x = Vector512.Create(a3[aRow]);
                c4x0 = Vector512.FusedMultiplyAdd(x, b0, c4x0);
                c4x1 = Vector512.FusedMultiplyAdd(x, b1, c4x1);
            }

            if (TRows.Value > 5)
            {
                var x = Vector512.Create(a3[aRow2]);
                c5x0 = Vector512.FusedMultiplyAdd(x, b0, c5x0);
                c5x1 = Vector512.FusedMultiplyAdd(x, b1, c5x1);
            }

            if (TRows.Value > 6)
            {
                var x = Vector512.Create(*a6);
                c6x0 = Vector512.FusedMultiplyAdd(x, b0, c6x0);
                c6x1 = Vector512.FusedMultiplyAdd(x, b1, c6x1);
            }

            if (TRows.Value > 7)
            {
                var x = Vector512.Create(a6[aRow]);
                c7x0 = Vector512.FusedMultiplyAdd(x, b0, c7x0);
                c7x1 = Vector512.FusedMultiplyAdd(x, b1, c7x1);
            }

            if (TRows.Value > 8)
            {
                var x = Vector512.Create(a6[aRow2]);
                c8x0 = Vector512.FusedMultiplyAdd(x, b0, c8x0);
                c8x1 = Vector512.FusedMultiplyAdd(x, b1, c8x1);
            }

            if (TRows.Value > 9)
            {
                var x = Vector512.Create(*a9);
                c9x0 = Vector512.FusedMultiplyAdd(x, b0, c9x0);
                c9x1 = Vector512.FusedMultiplyAdd(x, b1, c9x1);
            }

            if (TRows.Value > 10)
            {
                var x = Vector512.Create(a9[aRow]);
                c10x0 = Vector512.FusedMultiplyAdd(x, b0, c10x0);
                c10x1 = Vector512.FusedMultiplyAdd(x, b1, c10x1);
            }

            if (TRows.Value > 11)
            {
                var x = Vector512.Create(a9[aRow2]);
                c11x0 = Vector512.FusedMultiplyAdd(x, b0, c11x0);
                c11x1 = Vector512.FusedMultiplyAdd(x, b1, c11x1);
            }

            a++;
            a3++;
            a6++;
            a9++;
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

        if (TRows.Value > 6)
        {
            Put(c + (6 * cRow), c6x0, c6x1, accumulate);
        }

        if (TRows.Value > 7)
        {
            Put(c + (7 * cRow), c7x0, c7x1, accumulate);
        }

        if (TRows.Value > 8)
        {
            Put(c + (8 * cRow), c8x0, c8x1, accumulate);
        }

        if (TRows.Value > 9)
        {
            Put(c + (9 * cRow), c9x0, c9x1, accumulate);
        }

        if (TRows.Value > 10)
        {
            Put(c + (10 * cRow), c10x0, c10x1, accumulate);
        }

        if (TRows.Value > 11)
        {
            Put(c + (11 * cRow), c11x0, c11x1, accumulate);
        }
    }

    private static void Put(float* c, Vector512<float> left, Vector512<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector512.Load(c);
            right += Vector512.Load(c + 16);
        }

        left.Store(c);
        right.Store(c + 16);
    }
}
