using MathNet.Numerics;

namespace HeadScope;

/// <summary>Statistics of samples, in fp64.</summary>
internal static class Statistics
{
    /// <summary>The mean.</summary>
    /// <param name="values">The sample.</param>
    /// <returns>The mean; NaN for none.</returns>
    public static double Mean(ReadOnlySpan<double> values)
    {
        var sum = 0.0;
        foreach (var value in values)
        {
            sum += value;
        }

        return sum / values.Length;
    }

    /// <summary>The standard deviation of a sample, √(Σ (x - mean)² / (n - 1)).</summary>
    /// <param name="values">The sample.</param>
    /// <returns>The standard deviation; NaN for fewer than 2 values.</returns>
    public static double StandardDeviation(ReadOnlySpan<double> values)
    {
        if (values.Length < 2)
        {
            return double.NaN;
        }

        var mean = Mean(values);
        var sum = 0.0;
        foreach (var value in values)
        {
            sum += (value - mean) * (value - mean);
        }

        return Math.Sqrt(sum / (values.Length - 1));
    }

    /// <summary>Pearson's correlation with its two-sided p-value, for which x and y are taken as normal and independent.</summary>
    /// <param name="x">The first sample.</param>
    /// <param name="y">The second sample, paired with the first.</param>
    /// <returns>r, p, log₁₀ p and n.</returns>
    /// <exception cref="ArgumentException">The samples differ in length.</exception>
    public static Correlation Pearson(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length != y.Length)
        {
            throw new ArgumentException($"{x.Length} values do not pair with {y.Length}.", nameof(y));
        }

        var n = x.Length;
        double meanX = Mean(x), meanY = Mean(y), xx = 0, yy = 0, xy = 0;
        for (var i = 0; i < n; i++)
        {
            double dx = x[i] - meanX, dy = y[i] - meanY;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }

        if (n < 2 || xx == 0 || yy == 0)
        {
            return new Correlation(double.NaN, double.NaN, double.NaN, n);
        }

        var r = Math.Clamp(xy / Math.Sqrt(xx * yy), -1, 1);
        if (n == 2)
        {
            return new Correlation(r, 1, 0, n);
        }

        var ln = LogTwoSidedP(r, n);
        return new Correlation(r, Math.Exp(ln), ln / Math.Log(10), n);
    }

    // With t = r √((n-2)/(1-r²)) the two tails of Student's distribution are I(1-r²; (n-2)/2, 1/2).
    internal static double LogTwoSidedP(double r, int n) => LogRegularizedBeta((1 - r) * (1 + r), (n - 2) / 2.0);

    // ln I(x; a, 1/2). The series x^a (1-x)^b / (a B(a,b)) · Σ (a+b)_i / (a+1)_i x^i (DLMF 8.17.8) has positive terms only
    // and does not underflow; it is slow only near x = 1, where the complement I(1-x; 1/2, a) is short.
    private static double LogRegularizedBeta(double x, double a)
    {
        const double B = 0.5;
        if (x <= 0)
        {
            return double.NegativeInfinity;
        }

        // In the middle of the distribution the p-value is not small, and 1 minus the complement keeps its digits.
        return (1 - x) * (a + B + 2) < B + 1
            ? Math.Log(1 - Math.Exp(LogSeries(1 - x, B, a)))
            : LogSeries(x, a, B);
    }

    private static double LogSeries(double x, double a, double b)
    {
        if (x <= 0)
        {
            return double.NegativeInfinity;
        }

        double sum = 1, term = 1;
        for (var i = 0; term > 1e-17 * sum; i++)
        {
            term *= (a + b + i) / (a + 1 + i) * x;
            sum += term;
        }

        return (a * Math.Log(x)) + (b * Math.Log(1 - x)) - Math.Log(a) - SpecialFunctions.BetaLn(a, b) + Math.Log(sum);
    }
}
