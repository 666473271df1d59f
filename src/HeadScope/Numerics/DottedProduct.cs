using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace HeadScope;

/// <summary>
/// The product of a few rows with many, both stored along the depth: every number of C is a dot product, and nothing is packed. This
/// is what generation needs, where one row of activations meets weights stored as [outputs, inputs].
/// </summary>
internal static unsafe class DottedProduct
{
    // The few rows stay in the second cache and the many pass by once.
    private const int Depth = 2048;

    // Of the many, dotted at a time with up to 4 of the few: 12 sums, 3 + 1 vectors, all in 16 registers.
    private const int Group = 3;

    /// <summary>A's rows are few and B is stored transposed.</summary>
    public static void MultiplyFewRows(ProductOperands o) =>
        Multiply(o, o.A, o.ARow, o.AColumn, o.M, o.B, o.BColumn, o.N, o.CRow, 1);

    /// <summary>B's columns are few and A is stored as seen.</summary>
    public static void MultiplyFewColumns(ProductOperands o) =>
        Multiply(o, o.B, o.BColumn, o.BRow, o.N, o.A, o.ARow, o.M, 1, o.CRow);

    private static void Multiply(
        ProductOperands o, float* few, nint fewRow, nint fewColumn, int fewRows, float* many, nint manyRow, int manyRows, nint cFew, nint cMany)
    {
        float[]? copy = null;
        if (fewColumn != 1)
        {
            copy = ArrayPool<float>.Shared.Rent(fewRows * o.K);
            for (var i = 0; i < fewRows; i++)
            {
                for (var p = 0; p < o.K; p++)
                {
                    copy[(i * o.K) + p] = few[(i * fewRow) + (p * fewColumn)];
                }
            }
        }

        fixed (float* copied = copy)
        {
            var work = new Work
            {
                Few = copy is null ? few : copied,
                FewRow = copy is null ? fewRow : o.K,
                FewRows = fewRows,
                Many = many,
                ManyRow = manyRow,
                ManyRows = manyRows,
                C = o.C,
                CFew = cFew,
                CMany = cMany,
                Depth = o.K,
                Accumulate = o.Accumulate,
            };
            var workers = o.Flops < 5e5 ? 1 : Parallelism.WorkersFor(int.MaxValue);
            work.Block = workers == 1 ? manyRows : Math.Clamp((manyRows + (workers * 8) - 1) / (workers * 8), Group * 4, 1024);
            if (workers == 1)
            {
                MultiplyBlock(&work, 0);
            }
            else
            {
                Parallelism.For((manyRows + work.Block - 1) / work.Block, &MultiplyBlock, &work);
            }
        }

        if (copy is not null)
        {
            ArrayPool<float>.Shared.Return(copy);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyBlock(void* state, int index)
    {
        ref readonly var w = ref *(Work*)state;
        var end = Math.Min(w.ManyRows, (index + 1) * w.Block);
        for (var p = 0; p < w.Depth; p += Depth)
        {
            var depth = Math.Min(Depth, w.Depth - p);
            var accumulate = w.Accumulate || p > 0;
            for (var j = index * w.Block; j < end;)
            {
                var group = end - j >= Group ? Group : 1;
                var y = w.Many + (j * w.ManyRow) + p;
                for (var i = 0; i < w.FewRows;)
                {
                    var x = w.Few + (i * w.FewRow) + p;
                    var c = w.C + (i * w.CFew) + (j * w.CMany);
                    var rows = Math.Min(4, w.FewRows - i);
                    if (group == 1)
                    {
                        rows = 1;
                        Dot<C1, C1>(depth, x, w.FewRow, y, w.ManyRow, c, w.CFew, w.CMany, accumulate);
                    }
                    else if (rows == 4)
                    {
                        Dot<C4, C3>(depth, x, w.FewRow, y, w.ManyRow, c, w.CFew, w.CMany, accumulate);
                    }
                    else if (rows == 3)
                    {
                        Dot<C3, C3>(depth, x, w.FewRow, y, w.ManyRow, c, w.CFew, w.CMany, accumulate);
                    }
                    else if (rows == 2)
                    {
                        Dot<C2, C3>(depth, x, w.FewRow, y, w.ManyRow, c, w.CFew, w.CMany, accumulate);
                    }
                    else
                    {
                        Dot<C1, C3>(depth, x, w.FewRow, y, w.ManyRow, c, w.CFew, w.CMany, accumulate);
                    }

                    i += rows;
                }

                j += group;
            }
        }
    }

    // Each sum is one vector over the depth, added up at the end, then the rest of the depth one by one: the same for every group.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot<TFew, TMany>(
        int depth, float* x, nint xRow, float* y, nint yRow, float* c, nint cFew, nint cMany, bool accumulate)
        where TFew : struct, ICount
        where TMany : struct, ICount
    {
        Vector<float> c00 = default, c01 = default, c02 = default;
        Vector<float> c10 = default, c11 = default, c12 = default;
        Vector<float> c20 = default, c21 = default, c22 = default;
        Vector<float> c30 = default, c31 = default, c32 = default;
        float* x1 = x + xRow, x2 = x1 + xRow, x3 = x2 + xRow, y1 = y + yRow, y2 = y1 + yRow;
        nint p = 0;
        for (; p <= depth - Vector<float>.Count; p += Vector<float>.Count)
        {
            var v0 = Read(y + p);
            var v1 = TMany.Value > 1 ? Read(y1 + p) : default;
            var v2 = TMany.Value > 1 ? Read(y2 + p) : default;
            if (TFew.Value == 1 && Sse.IsSupported)
            {
                // One row passes the many once, at the speed of memory: ask for the next group while this one is dotted.
                Sse.Prefetch0(y + (Group * yRow) + p);
                Sse.Prefetch0(y1 + (Group * yRow) + p);
                Sse.Prefetch0(y2 + (Group * yRow) + p);
            }

            var u0 = Read(x + p);
            c00 = Vector.MultiplyAddEstimate(u0, v0, c00);
            if (TMany.Value > 1)
            {
                c01 = Vector.MultiplyAddEstimate(u0, v1, c01);
                c02 = Vector.MultiplyAddEstimate(u0, v2, c02);
            }

            if (TFew.Value > 1)
            {
                var u = Read(x1 + p);
                c10 = Vector.MultiplyAddEstimate(u, v0, c10);
                c11 = Vector.MultiplyAddEstimate(u, v1, c11);
                c12 = Vector.MultiplyAddEstimate(u, v2, c12);
            }

            if (TFew.Value > 2)
            {
                var u = Read(x2 + p);
                c20 = Vector.MultiplyAddEstimate(u, v0, c20);
                c21 = Vector.MultiplyAddEstimate(u, v1, c21);
                c22 = Vector.MultiplyAddEstimate(u, v2, c22);
            }

            if (TFew.Value > 3)
            {
                var u = Read(x3 + p);
                c30 = Vector.MultiplyAddEstimate(u, v0, c30);
                c31 = Vector.MultiplyAddEstimate(u, v1, c31);
                c32 = Vector.MultiplyAddEstimate(u, v2, c32);
            }
        }

        var rest = depth - (int)p;
        Put(c, c00, x + p, y + p, rest, accumulate);
        if (TMany.Value > 1)
        {
            Put(c + cMany, c01, x + p, y1 + p, rest, accumulate);
            Put(c + (2 * cMany), c02, x + p, y2 + p, rest, accumulate);
        }

        if (TFew.Value > 1)
        {
            c += cFew;
            Put(c, c10, x1 + p, y + p, rest, accumulate);
            Put(c + cMany, c11, x1 + p, y1 + p, rest, accumulate);
            Put(c + (2 * cMany), c12, x1 + p, y2 + p, rest, accumulate);
        }

        if (TFew.Value > 2)
        {
            c += cFew;
            Put(c, c20, x2 + p, y + p, rest, accumulate);
            Put(c + cMany, c21, x2 + p, y1 + p, rest, accumulate);
            Put(c + (2 * cMany), c22, x2 + p, y2 + p, rest, accumulate);
        }

        if (TFew.Value > 3)
        {
            c += cFew;
            Put(c, c30, x3 + p, y + p, rest, accumulate);
            Put(c + cMany, c31, x3 + p, y1 + p, rest, accumulate);
            Put(c + (2 * cMany), c32, x3 + p, y2 + p, rest, accumulate);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Read(float* from) => Unsafe.ReadUnaligned<Vector<float>>(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* c, Vector<float> sums, float* x, float* y, int rest, bool accumulate)
    {
        var sum = Vector.Sum(sums);
        for (var p = 0; p < rest; p++)
        {
            sum += x[p] * y[p];
        }

        *c = accumulate ? *c + sum : sum;
    }

    private struct Work
    {
        public float* Few;
        public float* Many;
        public float* C;
        public nint FewRow;
        public nint ManyRow;
        public nint CFew;
        public nint CMany;
        public int FewRows;
        public int ManyRows;
        public int Depth;
        public int Block;
        public bool Accumulate;
    }
}
