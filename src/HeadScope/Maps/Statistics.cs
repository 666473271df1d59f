using MathNet.Numerics;

namespace HeadScope;

/// <summary>Pearson's correlation of two samples and how unlikely it is without a true one.</summary>
/// <param name="R">r, from -1 to 1; NaN when there are fewer than 2 pairs or one of the samples is constant.</param>
/// <param name="PValue">
/// The two-sided p-value of the t test with n - 2 degrees of freedom; 0 where it is below the smallest double, 1 for 2 pairs.
/// </param>
/// <param name="Log10PValue">The base-10 logarithm of the p-value, also where that is 0; −∞ only for |r| = 1.</param>
/// <param name="Count">n, the number of pairs.</param>
public sealed record Correlation(double R, double PValue, double Log10PValue, int Count)
{
    /// <summary>As papers write it: <c>r = 0.83, p = 2e-8, n = 32</c>; the power of ten alone where the p-value is too small for a double.</summary>
    public override string ToString()
    {
        var p = PValue > 0 || double.IsNaN(PValue) || double.IsInfinity(Log10PValue)
            ? PValue.ToString(PValue >= 0.001 ? "0.###" : "0.0e+0", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"1e{Math.Round(Log10PValue):0}");
        return string.Create(CultureInfo.InvariantCulture, $"r = {R:0.00}, p = {p}, n = {Count}");
    }
}

/// <summary>Statistics of samples, in fp64.</summary>
internal static class Statistics
{
    /// <summary>The mean; NaN for none.</summary>
    public static double Mean(IReadOnlyCollection<double> values) => values.Sum() / values.Count;

    /// <summary>The standard deviation of a sample, √(Σ (x - mean)² / (n - 1)); NaN for fewer than 2 values.</summary>
    public static double StandardDeviation(IReadOnlyCollection<double> values)
    {
        var mean = Mean(values);
        return values.Count < 2 ? double.NaN : Math.Sqrt(values.Sum(x => (x - mean) * (x - mean)) / (values.Count - 1));
    }

    /// <summary>Pearson's correlation with its two-sided p-value, for which x and y are taken as normal and independent.</summary>
    /// <param name="x">The first sample.</param>
    /// <param name="y">The second sample, paired with the first.</param>
    /// <returns>r, p, log₁₀ p and n.</returns>
    /// <exception cref="ArgumentException">The samples differ in length.</exception>
    public static Correlation Pearson(double[] x, double[] y)
    {
        Fault.ArgumentIf(x.Length != y.Length, $"{x.Length} values do not pair with {y.Length}.");
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
    // and does not underflow; it is slow only near x = 1, where the complement I(1-x; 1/2, a) is short. In the middle of the distribution
    // the p-value is not small, and 1 minus the complement keeps its digits.
    private static double LogRegularizedBeta(double x, double a) =>
        x <= 0 ? double.NegativeInfinity
        : (1 - x) * (a + 2.5) < 1.5 ? Math.Log(1 - Math.Exp(LogSeries(1 - x, 0.5, a)))
        : LogSeries(x, a, 0.5);

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
