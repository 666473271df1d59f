using System.Numerics;

namespace HeadScope.Tests;

public class ElementwiseTests
{
    public delegate void Function(ReadOnlySpan<float> x, Span<float> destination);

    [Theory] // x Φ(x) to twelve digits
    [InlineData(-12, -2.13177853449e-32)]
    [InlineData(-6, -5.91952587023e-9)]
    [InlineData(-3, -0.00404969409489)]
    [InlineData(-1, -0.158655253931)]
    [InlineData(-0.5, -0.154268769363)]
    [InlineData(0, 0)]
    [InlineData(0.5, 0.345731230637)]
    [InlineData(1, 0.841344746069)]
    [InlineData(3, 2.99595030591)]
    [InlineData(40, 40)]
    public void Gelu_matches_published_values(float x, double expected) =>
        Assert.Equal(expected, Apply(Elementwise.Gelu, x), 6e-6 * Math.Abs(expected));

    [Fact]
    public void Gelu_and_its_relatives_match_fp64_formulas_on_a_fine_grid()
    {
        var x = Enumerable.Range(-60_000, 120_001).Select(i => i / 6000f).ToArray();
        Check(Elementwise.Gelu, v => v * NormalCdf(v), 5e-7);
        Check(Elementwise.GeluTanh, v => 0.5 * v * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (v + (0.044715 * v * v * v)))), 5e-7);
        Check(Elementwise.Silu, v => v / (1 + Math.Exp(-v)), 5e-7);

        void Check(Function function, Func<double, double> formula, double tolerance)
        {
            var y = new float[x.Length];
            function(x, y);
            for (var i = 0; i < x.Length; i++)
            {
                Assert.Equal(formula(x[i]), y[i], tolerance * Math.Max(0.01, Math.Abs(x[i])));
            }
        }
    }

    [Fact]
    public void Activations_keep_their_limits_for_very_large_numbers()
    {
        foreach (var function in new Function[] { Elementwise.Gelu, Elementwise.GeluTanh, Elementwise.Silu })
        {
            Assert.Equal(1e30f, Apply(function, 1e30f));
            Assert.Equal(0, Apply(function, -1e4f));
            Assert.True(float.IsNaN(Apply(function, float.NaN)));
        }
    }

    [Fact]
    public void Functions_do_the_same_in_place_and_for_every_length() => RandomNumbers.ForSeeds(seed =>
    {
        var x = RandomNumbers.Normal(seed % 70, seed, 3);
        foreach (var function in new Function[]
        {
            Elementwise.Gelu, Elementwise.GeluTanh, Elementwise.Silu, Elementwise.Softmax,
            (v, y) => Elementwise.LayerNorm(v, [], [], 1e-5, y), (v, y) => Elementwise.RmsNorm(v, [], 1e-6, y),
        })
        {
            var expected = new float[x.Length];
            function(x, expected);
            var inPlace = (float[])x.Clone();
            function(inPlace, inPlace);
            Assert.Equal(expected, inPlace);
            Assert.Throws<ArgumentException>(() => function(new float[9], new float[8]));
        }
    });

    [Fact]
    public void Softmax_is_a_distribution_in_the_order_of_the_scores() => RandomNumbers.ForSeeds(seed =>
    {
        var x = RandomNumbers.Normal(1 + (seed % 300), seed, 20);
        x[seed % x.Length] = 1000;
        var p = new float[x.Length];
        Elementwise.Softmax(x, p);
        Assert.Equal(1, p.Sum(v => (double)v), 1e-6);
        var total = x.Sum(v => Math.Exp(v - 1000.0));
        for (var i = 0; i < x.Length; i++)
        {
            Assert.Equal(Math.Exp(x[i] - 1000.0) / total, p[i], 2e-7);
        }

        Assert.Equal(1000 + Math.Log(total), Elementwise.LogSumExp(x), 1e-6);
    });

    [Fact]
    public void Softmax_gives_masked_scores_no_probability()
    {
        var p = new float[3];
        Elementwise.Softmax([float.NegativeInfinity, 2, 2], p);
        Assert.Equal([0f, 0.5f, 0.5f], p);
    }

    [Fact]
    public void Norms_follow_their_definitions_and_return_the_scale() => RandomNumbers.ForSeeds(seed =>
    {
        var n = 1 + (seed % 200);
        var x = RandomNumbers.Normal(n, seed, 5).Select(v => v + 100).ToArray();
        var weight = RandomNumbers.Normal(n, seed + 1);
        var bias = RandomNumbers.Normal(n, seed + 2);
        var mean = x.Average(v => (double)v);
        var sigma = Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + 1e-5);
        var rms = Math.Sqrt(x.Average(v => (double)v * v) + 1e-5);
        float[] normed = new float[n], scaled = new float[n];
        Assert.Equal(sigma, Elementwise.LayerNorm(x, weight, bias, 1e-5, normed), 1e-6 * sigma);
        Assert.Equal(rms, Elementwise.RmsNorm(x, weight, 1e-5, scaled), 1e-6 * rms);
        for (var i = 0; i < n; i++)
        {
            // x near 100 leaves fp32 an absolute error of some 1e-5 in x - mean.
            Assert.Equal(((x[i] - mean) / sigma * weight[i]) + bias[i], normed[i], 1e-5 * (1 + Math.Abs(weight[i] / sigma)));
            Assert.Equal(x[i] / rms * weight[i], scaled[i], 1e-6 * Math.Max(1, Math.Abs(weight[i])));
        }
    });

    private static float Apply(Function function, float x)
    {
        var values = new float[Vector<float>.Count + 1];
        values.AsSpan().Fill(x);
        function(values, values);
        Assert.Equal(values[0], values[^1]);
        return values[0];
    }

    private static double NormalCdf(double x) => 0.5 * MathNet.Numerics.SpecialFunctions.Erfc(-x / Math.Sqrt(2));
}
