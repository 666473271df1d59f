using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace HeadScope;

/// <summary>A tile of 6 rows by 16 columns in 12 of the 16 registers of AVX2 with FMA.</summary>
internal readonly unsafe struct Tile256 : IProductTile
{
    public static int Rows => 6;

    public static int Columns => 16;

    public static int Depth => 288;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TRows>(
        int depth, float* a, nint aRow, float* b, nint bStep, float* c, nint cRow, bool accumulate)
        where TRows : struct, ICount
    {
        Vector256<float> c0x0 = default, c0x1 = default;
        Vector256<float> c1x0 = default, c1x1 = default;
        Vector256<float> c2x0 = default, c2x1 = default;
        Vector256<float> c3x0 = default, c3x1 = default;
        Vector256<float> c4x0 = default, c4x1 = default;
        Vector256<float> c5x0 = default, c5x1 = default;
        var aRow2 = 2 * aRow;
        var a3 = a + (3 * aRow);
        // Two steps at a time: the neighbour on the other half of a processor's core takes every second turn to issue instructions,
        // so that the few that a longer loop saves are a fifth of the time there.
        for (; depth > 1; depth -= 2)
        {
            var b0 = Vector256.Load(b);
            var b1 = Vector256.Load(b + 8);
            var x = Vector256.Create(*a);
            c0x0 = Vector256.FusedMultiplyAdd(x, b0, c0x0);
            c0x1 = Vector256.FusedMultiplyAdd(x, b1, c0x1);

            if (TRows.Value > 1)
            {
                x = Vector256.Create(a[aRow]);
                c1x0 = Vector256.FusedMultiplyAdd(x, b0, c1x0);
                c1x1 = Vector256.FusedMultiplyAdd(x, b1, c1x1);
            }

            if (TRows.Value > 2)
            {
                x = Vector256.Create(a[aRow2]);
                c2x0 = Vector256.FusedMultiplyAdd(x, b0, c2x0);
                c2x1 = Vector256.FusedMultiplyAdd(x, b1, c2x1);
            }

            if (TRows.Value > 3)
            {
                x = Vector256.Create(*a3);
                c3x0 = Vector256.FusedMultiplyAdd(x, b0, c3x0);
                c3x1 = Vector256.FusedMultiplyAdd(x, b1, c3x1);
            }

            if (TRows.Value > 4)
            {
                x = Vector256.Create(a3[aRow]);
                c4x0 = Vector256.FusedMultiplyAdd(x, b0, c4x0);
                c4x1 = Vector256.FusedMultiplyAdd(x, b1, c4x1);
            }

            if (TRows.Value > 5)
            {
                x = Vector256.Create(a3[aRow2]);
                c5x0 = Vector256.FusedMultiplyAdd(x, b0, c5x0);
                c5x1 = Vector256.FusedMultiplyAdd(x, b1, c5x1);
            }

            b += bStep;
            b0 = Vector256.Load(b);
            b1 = Vector256.Load(b + 8);
            x = Vector256.Create(a[1]);
            c0x0 = Vector256.FusedMultiplyAdd(x, b0, c0x0);
            c0x1 = Vector256.FusedMultiplyAdd(x, b1, c0x1);

            if (TRows.Value > 1)
            {
                x = Vector256.Create(a[aRow + 1]);
                c1x0 = Vector256.FusedMultiplyAdd(x, b0, c1x0);
                c1x1 = Vector256.FusedMultiplyAdd(x, b1, c1x1);
            }

            if (TRows.Value > 2)
            {
                x = Vector256.Create(a[aRow2 + 1]);
                c2x0 = Vector256.FusedMultiplyAdd(x, b0, c2x0);
                c2x1 = Vector256.FusedMultiplyAdd(x, b1, c2x1);
            }

            if (TRows.Value > 3)
            {
                x = Vector256.Create(a3[1]);
                c3x0 = Vector256.FusedMultiplyAdd(x, b0, c3x0);
                c3x1 = Vector256.FusedMultiplyAdd(x, b1, c3x1);
            }

            if (TRows.Value > 4)
            {
                x = Vector256.Create(a3[aRow + 1]);
                c4x0 = Vector256.FusedMultiplyAdd(x, b0, c4x0);
                c4x1 = Vector256.FusedMultiplyAdd(x, b1, c4x1);
            }

            if (TRows.Value > 5)
            {
                x = Vector256.Create(a3[aRow2 + 1]);
                c5x0 = Vector256.FusedMultiplyAdd(x, b0, c5x0);
                c5x1 = Vector256.FusedMultiplyAdd(x, b1, c5x1);
            }

            b += bStep;
            a += 2;
            a3 += 2;
        }

        if (depth > 0)
        {
            var b0 = Vector256.Load(b);
            var b1 = Vector256.Load(b + 8);
            var x = Vector256.Create(*a);
            c0x0 = Vector256.FusedMultiplyAdd(x, b0, c0x0);
            c0x1 = Vector256.FusedMultiplyAdd(x, b1, c0x1);

            if (TRows.Value > 1)
            {
                x = Vector256.Create(a[aRow]);
                c1x0 = Vector256.FusedMultiplyAdd(x, b0, c1x0);
                c1x1 = Vector256.FusedMultiplyAdd(x, b1, c1x1);
            }

            if (TRows.Value > 2)
            {
                x = Vector256.Create(a[aRow2]);
                c2x0 = Vector256.FusedMultiplyAdd(x, b0, c2x0);
                c2x1 = Vector256.FusedMultiplyAdd(x, b1, c2x1);
            }

            if (TRows.Value > 3)
            {
                x = Vector256.Create(*a3);
                c3x0 = Vector256.FusedMultiplyAdd(x, b0, c3x0);
                c3x1 = Vector256.FusedMultiplyAdd(x, b1, c3x1);
            }

            if (TRows.Value > 4)
            {
                x = Vector256.Create(a3[aRow]);
                c4x0 = Vector256.FusedMultiplyAdd(x, b0, c4x0);
                c4x1 = Vector256.FusedMultiplyAdd(x, b1, c4x1);
            }

            if (TRows.Value > 5)
            {
                x = Vector256.Create(a3[aRow2]);
                c5x0 = Vector256.FusedMultiplyAdd(x, b0, c5x0);
                c5x1 = Vector256.FusedMultiplyAdd(x, b1, c5x1);
            }
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

    private static void Put(float* c, Vector256<float> left, Vector256<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector256.Load(c);
            right += Vector256.Load(c + 8);
        }

        left.Store(c);
        right.Store(c + 8);
    }
}
