using System.Globalization;

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
