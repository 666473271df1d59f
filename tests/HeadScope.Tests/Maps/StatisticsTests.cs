namespace HeadScope.Tests;

public class StatisticsTests
{
    // Expected r and p: the definition in 60-digit arithmetic.
    public static TheoryData<double[], double[], double, double> Samples => new()
    {
        { [-1, 0, 10, 18, -19], [-8, 5, 12, 15, -16], 0.93600548213781398, 0.019245741617907414 },
        { [14, -10, -16, -8, -4, 13, -2, -17], [19, -7, -17, -6, -3, 11, 1, -18], 0.9831861716971857, 1.1734025994198721e-5 },
        {
            [13, -17, -13, -11, -13, 12, 15, 3, -19, -17, -7, -3], [-68, -26, -48, 122, -4, -2, 4, -24, -61, -33, 12, -13],
            -0.020453261887461177, 0.9496938657269342
        },
        {
            [13, -17, -13, -11, -13, 12, 15, 3, -19, -17, -7, -3], [11, -17, -14, -8, -13, 12, 15, 2, -20, -17, -7, -3],
            0.9955663557021366, 1.3391921934338429e-11
        },
    };

    [Theory]
    [MemberData(nameof(Samples))]
    public void Pearson_matches_high_precision_values(double[] x, double[] y, double r, double p)
    {
        var correlation = Statistics.Pearson(x, y);
        Assert.Equal(r, correlation.R, 1e-14);
        Assert.Equal(p, correlation.PValue, 1e-12 * p);
        Assert.Equal(Math.Log10(p), correlation.Log10PValue, 1e-12);
        Assert.Equal(x.Length, correlation.Count);
        Assert.Equal(-correlation.R, Statistics.Pearson(x, [.. y.Select(v => -v)]).R, 1e-15);
    }

    [Theory]
    [InlineData(0.05, 100_000, -55.652437531902129)]
    [InlineData(0.9, 2000, -722.22785810003667)]
    [InlineData(0.001, 1000, -0.011082512679552329)]
    [InlineData(0.5, 45_000, -2813.1202928596726)]
    [InlineData(-0.3, 30, -0.96961910724872968)]
    public void Log_p_matches_high_precision_values_beyond_the_range_of_p(double r, int n, double log10) =>
        Assert.Equal(log10, Statistics.LogTwoSidedP(r, n) / Math.Log(10), 1e-10 * Math.Max(1, Math.Abs(log10)));

    [Fact]
    public void P_falls_steadily_as_the_correlation_grows()
    {
        foreach (var n in new[] { 3, 4, 10, 100, 5000 })
        {
            var last = Statistics.LogTwoSidedP(0, n);
            Assert.Equal(0, last, 1e-12);
            for (var r = 0.001; r < 1; r += 0.001)
            {
                var now = Statistics.LogTwoSidedP(r, n);
                Assert.True(now < last, $"n = {n}, r = {r}: {now} after {last}");
                last = now;
            }
        }
    }

    [Fact]
    public void A_perfect_correlation_has_p_0_and_too_little_data_has_none()
    {
        Assert.Equal(new Correlation(1, 0, double.NegativeInfinity, 5), Statistics.Pearson([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]));
        Assert.Equal(new Correlation(-1, 1, 0, 2), Statistics.Pearson([1, 2], [5, 4]));
        Assert.Equal(double.NaN, Statistics.Pearson([1, 1, 1], [1, 2, 3]).R);
        Assert.Equal(double.NaN, Statistics.Pearson([1], [1]).PValue);
        Assert.Throws<ArgumentException>(() => Statistics.Pearson([1, 2], [1]));
    }

    [Fact]
    public void Mean_and_standard_deviation_follow_their_definitions()
    {
        Assert.Equal(5, Statistics.Mean([2, 4, 4, 4, 5, 5, 7, 9]));
        Assert.Equal(Math.Sqrt(32.0 / 7), Statistics.StandardDeviation([2, 4, 4, 4, 5, 5, 7, 9]), 1e-15);
        Assert.Equal(double.NaN, Statistics.StandardDeviation([1]));
    }
}
