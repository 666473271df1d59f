using System.Numerics;

namespace HeadScope;

/// <summary>
/// Four vectors against two others in fp64: eight products for each number that is loaded from the four. This keeps a processor's
/// arithmetic busy where one vector at a time would wait for memory.
/// </summary>
internal static unsafe class FourColumns
{
    /// <summary>How many vectors stand in a block.</summary>
    public const int Count = 4;

    /// <summary>The dot products of four vectors with x, then with y.</summary>
    /// <param name="block">The four vectors.</param>
    /// <param name="stride">From one of them to the next.</param>
    /// <param name="x">A vector.</param>
    /// <param name="y">Another.</param>
    /// <param name="length">Their length.</param>
    /// <param name="sums">[2, 4], overwritten.</param>
    public static void Dot(double* block, nint stride, double* x, double* y, int length, double* sums)
    {
        double* v0 = block, v1 = v0 + stride, v2 = v1 + stride, v3 = v2 + stride;
        Vector<double> x0 = default, x1 = default, x2 = default, x3 = default;
        Vector<double> y0 = default, y1 = default, y2 = default, y3 = default;
        var i = 0;
        for (; i <= length - Vector<double>.Count; i += Vector<double>.Count)
        {
            var a = Vector.Load(x + i);
            var b = Vector.Load(y + i);
            var v = Vector.Load(v0 + i);
            x0 = Vector.FusedMultiplyAdd(v, a, x0);
            y0 = Vector.FusedMultiplyAdd(v, b, y0);
            v = Vector.Load(v1 + i);
            x1 = Vector.FusedMultiplyAdd(v, a, x1);
            y1 = Vector.FusedMultiplyAdd(v, b, y1);
            v = Vector.Load(v2 + i);
            x2 = Vector.FusedMultiplyAdd(v, a, x2);
            y2 = Vector.FusedMultiplyAdd(v, b, y2);
            v = Vector.Load(v3 + i);
            x3 = Vector.FusedMultiplyAdd(v, a, x3);
            y3 = Vector.FusedMultiplyAdd(v, b, y3);
        }

        sums[0] = Vector.Sum(x0);
        sums[1] = Vector.Sum(x1);
        sums[2] = Vector.Sum(x2);
        sums[3] = Vector.Sum(x3);
        sums[4] = Vector.Sum(y0);
        sums[5] = Vector.Sum(y1);
        sums[6] = Vector.Sum(y2);
        sums[7] = Vector.Sum(y3);
        for (; i < length; i++)
        {
            for (var k = 0; k < Count; k++)
            {
                sums[k] += block[(k * stride) + i] * x[i];
                sums[Count + k] += block[(k * stride) + i] * y[i];
            }
        }
    }

    /// <summary>Adds a combination of four vectors to x, and another to y.</summary>
    /// <param name="block">The four vectors.</param>
    /// <param name="stride">From one of them to the next.</param>
    /// <param name="factors">[2, 4]: those for x, then those for y.</param>
    /// <param name="x">A vector.</param>
    /// <param name="y">Another.</param>
    /// <param name="length">Their length.</param>
    public static void Add(double* block, nint stride, double* factors, double* x, double* y, int length)
    {
        double* v0 = block, v1 = v0 + stride, v2 = v1 + stride, v3 = v2 + stride;
        Vector<double> x0 = new(factors[0]), x1 = new(factors[1]), x2 = new(factors[2]), x3 = new(factors[3]);
        Vector<double> y0 = new(factors[4]), y1 = new(factors[5]), y2 = new(factors[6]), y3 = new(factors[7]);
        var i = 0;
        for (; i <= length - Vector<double>.Count; i += Vector<double>.Count)
        {
            var a = Vector.Load(x + i);
            var b = Vector.Load(y + i);
            var v = Vector.Load(v0 + i);
            a = Vector.FusedMultiplyAdd(v, x0, a);
            b = Vector.FusedMultiplyAdd(v, y0, b);
            v = Vector.Load(v1 + i);
            a = Vector.FusedMultiplyAdd(v, x1, a);
            b = Vector.FusedMultiplyAdd(v, y1, b);
            v = Vector.Load(v2 + i);
            a = Vector.FusedMultiplyAdd(v, x2, a);
            b = Vector.FusedMultiplyAdd(v, y2, b);
            v = Vector.Load(v3 + i);
            a = Vector.FusedMultiplyAdd(v, x3, a);
            b = Vector.FusedMultiplyAdd(v, y3, b);
            a.Store(x + i);
            b.Store(y + i);
        }

        for (; i < length; i++)
        {
            for (var k = 0; k < Count; k++)
            {
                x[i] += block[(k * stride) + i] * factors[k];
                y[i] += block[(k * stride) + i] * factors[Count + k];
            }
        }
    }
}
