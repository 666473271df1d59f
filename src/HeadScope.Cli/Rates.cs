using System.Globalization;

namespace HeadScope.Cli;

/// <summary>Speeds as people read them.</summary>
internal static class Rates
{
    /// <summary>Formats a rate with three digits that count: <c>12.5 heads/s</c>, <c>38.1 MB/s</c>.</summary>
    /// <param name="rate">Units a second.</param>
    /// <param name="unit">The unit in the plural; <c>bytes</c> are shown as kB, MB and GB.</param>
    /// <returns>The text.</returns>
    public static string PerSecond(double rate, string unit)
    {
        if (unit == "bytes")
        {
            (rate, unit) = rate switch
            {
                >= 1e9 => (rate / 1e9, "GB"),
                >= 1e6 => (rate / 1e6, "MB"),
                _ => (rate / 1e3, "kB"),
            };
        }

        var format = rate >= 100 ? "#,0" : rate >= 10 ? "0.0" : "0.00";
        return string.Create(CultureInfo.InvariantCulture, $"{rate.ToString(format, CultureInfo.InvariantCulture)} {unit}/s");
    }
}
