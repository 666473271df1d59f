namespace HeadScope.Tests;

public class DoubleSumsTests
{
    [Fact]
    public void Sums_match_a_plain_fp64_loop() => RandomNumbers.ForSeeds(seed =>
    {
        var n = seed % 100;
        var x = RandomNumbers.Normal(n, seed);
        var y = RandomNumbers.Normal(n, seed + 1);
        Assert.Equal(x.Sum(v => (double)v), DoubleSums.Sum(x), 1e-12);
        Assert.Equal(x.Sum(v => (double)v * v), DoubleSums.SumOfSquares(x), 1e-12 * n);
        Assert.Equal(x.Zip(y, (a, b) => (double)a * b).Sum(), DoubleSums.Dot(x, y), 1e-12 * (n + 1));
        Assert.Equal(x.Zip(y, (a, b) => ((double)a - b) * ((double)a - b)).Sum(), DoubleSums.SumOfSquaredDifferences(x, y), 1e-12 * (n + 1));
        Assert.Equal(x.Sum(v => (v - 0.3) * (v - 0.3)), DoubleSums.SumOfSquaredDeviations(x, 0.3), 1e-12 * (n + 1));
    });

    [Fact]
    public void Sum_keeps_what_fp32_would_lose()
    {
        var x = new float[1 << 20];
        x.AsSpan().Fill(0.1f);
        x[0] = 1e8f;
        Assert.Equal(1e8 + (((1 << 20) - 1) * (double)0.1f), DoubleSums.Sum(x), 0.01);
    }

    [Fact]
    public void Pairs_of_different_lengths_are_refused() =>
        Assert.Throws<ArgumentException>(() => DoubleSums.Dot(new float[3], new float[4]));
}
