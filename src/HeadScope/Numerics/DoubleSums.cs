using System.Numerics;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>Sums of fp32 numbers carried in fp64, so that their error does not grow with the length.</summary>
internal static class DoubleSums
{
    private interface ITerm
    {
        static abstract Vector<double> Of(Vector<double> x, Vector<double> y);

        static abstract double Of(double x, double y);
    }

    /// <summary>Σ x.</summary>
    /// <param name="x">The numbers.</param>
    /// <returns>The sum; 0 for none.</returns>
    public static double Sum(ReadOnlySpan<float> x) => Sum<First>(x, x);

    /// <summary>Σ x².</summary>
    /// <param name="x">The numbers.</param>
    /// <returns>The sum; 0 for none.</returns>
    public static double SumOfSquares(ReadOnlySpan<float> x) => Sum<Product>(x, x);

    /// <summary>Σ x y.</summary>
    /// <param name="x">The first factors.</param>
    /// <param name="y">The second factors, as many.</param>
    /// <returns>The sum; 0 for none.</returns>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static double Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y) => Sum<Product>(x, y);

    /// <summary>Σ (x - y)².</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="y">What is subtracted, as many.</param>
    /// <returns>The sum; 0 for none.</returns>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static double SumOfSquaredDifferences(ReadOnlySpan<float> x, ReadOnlySpan<float> y) => Sum<SquaredDifference>(x, y);

    /// <summary>Σ (x - mean)².</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="mean">What is subtracted from each.</param>
    /// <returns>The sum; 0 for none.</returns>
    public static double SumOfSquaredDeviations(ReadOnlySpan<float> x, double mean)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(x);
        Vector<double> low = default, high = default, m = new(mean);
        foreach (var vector in vectors)
        {
            Vector.Widen(vector, out var l, out var h);
            low += (l - m) * (l - m);
            high += (h - m) * (h - m);
        }

        var sum = Vector.Sum(low + high);
        foreach (var value in x[(vectors.Length * Vector<float>.Count)..])
        {
            sum += (value - mean) * (value - mean);
        }

        return sum;
    }

    private static double Sum<TTerm>(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
        where TTerm : struct, ITerm
    {
        if (x.Length != y.Length)
        {
            throw new ArgumentException($"{x.Length} numbers do not pair with {y.Length}.", nameof(y));
        }

        var xs = MemoryMarshal.Cast<float, Vector<float>>(x);
        var ys = MemoryMarshal.Cast<float, Vector<float>>(y);
        Vector<double> low = default, high = default;
        for (var i = 0; i < xs.Length; i++)
        {
            Vector.Widen(xs[i], out var xl, out var xh);
            Vector.Widen(ys[i], out var yl, out var yh);
            low += TTerm.Of(xl, yl);
            high += TTerm.Of(xh, yh);
        }

        var sum = Vector.Sum(low + high);
        for (var i = xs.Length * Vector<float>.Count; i < x.Length; i++)
        {
            sum += TTerm.Of(x[i], y[i]);
        }

        return sum;
    }

    private readonly struct First : ITerm
    {
        public static Vector<double> Of(Vector<double> x, Vector<double> y) => x;

        public static double Of(double x, double y) => x;
    }

    private readonly struct Product : ITerm
    {
        public static Vector<double> Of(Vector<double> x, Vector<double> y) => x * y;

        public static double Of(double x, double y) => x * y;
    }

    private readonly struct SquaredDifference : ITerm
    {
        public static Vector<double> Of(Vector<double> x, Vector<double> y) => (x - y) * (x - y);

        public static double Of(double x, double y) => (x - y) * (x - y);
    }
}
