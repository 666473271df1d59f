using System.Numerics;
using System.Runtime.CompilerServices;

namespace HeadScope;

/// <summary>
/// The product of a few rows with a matrix B stored as seen: B passes by once, eight of its rows at a time, and C takes up the sums of
/// the eight. It runs as fast as the memory delivers B.
/// </summary>
internal static unsafe class StreamedProduct
{
    private const int Group = 8;

    public static void Multiply(ProductOperands operands)
    {
        // A part of eight rows is read again for each row of A: then it must stay in the first cache.
        var limit = operands.M == 1 ? 4096 : 512;
        var workers = operands.Flops < 5e5 ? 1 : Parallelism.WorkersFor(int.MaxValue);
        var wanted = workers == 1 ? limit : (operands.N + (workers * 2) - 1) / (workers * 2);
        var work = new Work { Operands = operands, Block = Math.Clamp((wanted + 63) & ~63, 64, limit) };
        var blocks = (operands.N + work.Block - 1) / work.Block;
        if (workers == 1)
        {
            for (var i = 0; i < blocks; i++)
            {
                MultiplyBlock(&work, i);
            }

            return;
        }

        Parallelism.For(blocks, &MultiplyBlock, &work);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyBlock(void* state, int index)
    {
        ref readonly var work = ref *(Work*)state;
        var o = work.Operands;
        var j0 = index * work.Block;
        var columns = Math.Min(work.Block, o.N - j0);
        if (!o.Accumulate)
        {
            for (var i = 0; i < o.M; i++)
            {
                new Span<float>(o.C + (i * o.CRow) + j0, columns).Clear();
            }
        }

        var p = 0;
        for (; p <= o.K - Group; p += Group)
        {
            for (var i = 0; i < o.M; i++)
            {
                AddEight(o.A + (i * o.ARow) + (p * o.AColumn), o.AColumn, o.B + (p * o.BRow) + j0, o.BRow, o.C + (i * o.CRow) + j0, columns);
            }
        }

        for (; p < o.K; p++)
        {
            for (var i = 0; i < o.M; i++)
            {
                AddOne(o.A[(i * o.ARow) + (p * o.AColumn)], o.B + (p * o.BRow) + j0, o.C + (i * o.CRow) + j0, columns);
            }
        }
    }

    // c += a[0] b[0] + … + a[7] b[7], one after the other.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddEight(float* a, nint aStep, float* b, nint bRow, float* c, int columns)
    {
        var a0 = new Vector<float>(a[0]);
        var a1 = new Vector<float>(a[aStep]);
        var a2 = new Vector<float>(a[2 * aStep]);
        var a3 = new Vector<float>(a[3 * aStep]);
        var a4 = new Vector<float>(a[4 * aStep]);
        var a5 = new Vector<float>(a[5 * aStep]);
        var a6 = new Vector<float>(a[6 * aStep]);
        var a7 = new Vector<float>(a[7 * aStep]);
        float* b2 = b + (2 * bRow), b4 = b2 + (2 * bRow), b6 = b4 + (2 * bRow);
        var j = 0;
        for (; j <= columns - Vector<float>.Count; j += Vector<float>.Count)
        {
            var sum = Read(c + j);
            sum = Vector.MultiplyAddEstimate(a0, Read(b + j), sum);
            sum = Vector.MultiplyAddEstimate(a1, Read(b + bRow + j), sum);
            sum = Vector.MultiplyAddEstimate(a2, Read(b2 + j), sum);
            sum = Vector.MultiplyAddEstimate(a3, Read(b2 + bRow + j), sum);
            sum = Vector.MultiplyAddEstimate(a4, Read(b4 + j), sum);
            sum = Vector.MultiplyAddEstimate(a5, Read(b4 + bRow + j), sum);
            sum = Vector.MultiplyAddEstimate(a6, Read(b6 + j), sum);
            sum = Vector.MultiplyAddEstimate(a7, Read(b6 + bRow + j), sum);
            Unsafe.WriteUnaligned(c + j, sum);
        }

        for (; j < columns; j++)
        {
            var sum = c[j];
            for (var p = 0; p < Group; p++)
            {
                sum = float.MultiplyAddEstimate(a[p * aStep], b[(p * bRow) + j], sum);
            }

            c[j] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOne(float a, float* b, float* c, int columns)
    {
        var factor = new Vector<float>(a);
        var j = 0;
        for (; j <= columns - Vector<float>.Count; j += Vector<float>.Count)
        {
            Unsafe.WriteUnaligned(c + j, Vector.MultiplyAddEstimate(factor, Read(b + j), Read(c + j)));
        }

        for (; j < columns; j++)
        {
            c[j] = float.MultiplyAddEstimate(a, b[j], c[j]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Read(float* from) => Unsafe.ReadUnaligned<Vector<float>>(from);

    private struct Work
    {
        public ProductOperands Operands;
        public int Block;
    }
}
