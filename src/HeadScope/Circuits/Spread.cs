using System.Globalization;

namespace HeadScope;

/// <summary>A value over prompts.</summary>
/// <param name="Mean">The mean; NaN for none.</param>
/// <param name="StandardDeviation">The standard deviation of the sample; NaN for fewer than 2.</param>
/// <param name="Count">The number of prompts.</param>
public sealed record Spread(double Mean, double StandardDeviation, int Count)
{
    /// <summary>The spread of values.</summary>
    /// <param name="values">The values.</param>
    /// <returns>The spread.</returns>
    public static Spread Of(IEnumerable<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        double[] sample = [.. values];
        return new(Statistics.Mean(sample), Statistics.StandardDeviation(sample), sample.Length);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Mean:0.###} ± {StandardDeviation:0.###}");
}
