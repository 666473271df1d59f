namespace HeadScope.Tests;

/// <summary>What a training step does with its gradient, against Adam as its paper states it, in fp64.</summary>
public class LorsaStepTests
{
    private const int Batch = 2, Length = 6, Steps = 5;
    private const double Rate = 0.01;

    private static readonly LorsaConfig Config = new() { ModelWidth = 6, Heads = 16, QkHeads = 2, QkWidth = 4, ContextLength = 8, TopK = 3 };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Parameters_move_as_Adam_says(bool sparse)
    {
        var (training, start, step) = Start(new() { SparseAdam = sparse });
        var p = start.ToDictionary(t => t.Key, t => Array.ConvertAll(t.Value, v => (double)v));
        var (m, v) = (start.ToDictionary(t => t.Key, t => new double[t.Value.Length]), start.ToDictionary(t => t.Key, t => new double[t.Value.Length]));
        for (var n = 1; n <= Steps; n++)
        {
            Assert.Equal(Rate, step().LearningRate);
            var (gradient, found) = (training.Gradient, training.Parameters);
            foreach (var (name, g) in gradient)
            {
                var (c1, c2) = (1 - Math.Pow(0.9, n), 1 - Math.Pow(0.999, n));
                for (var i = 0; i < g.Length; i++)
                {
                    m[name][i] = (0.9 * m[name][i]) + (0.1 * g[i]);
                    v[name][i] = (0.999 * v[name][i]) + (0.001 * g[i] * g[i]);
                    if (!sparse || g[i] != 0)
                    {
                        p[name][i] -= Rate * (m[name][i] / c1) / (Math.Sqrt(v[name][i] / c2) + 1e-8);
                    }

                    // Without rotation b_K has no gradient but rounding, which Adam blows up.
                    Assert.True(
                        name == "b_K" || Math.Abs(p[name][i] - found[name][i]) < 2e-4 * Rate,
                        $"{name}[{i}] after step {n} is {found[name][i]}, by Adam {p[name][i]}.");
                }
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_long_gradient_is_shortened_to_the_limit(bool byRootMeanSquare)
    {
        var whole = Start(new() { ClipByRootMeanSquare = byRootMeanSquare });
        var reported = whole.Step().GradientNorm;
        Assert.Equal(Size(whole.Training), reported, 1e-5 * reported);
        var limit = reported / 3;
        var clipped = Start(new() { ClipByRootMeanSquare = byRootMeanSquare, ClipLimit = limit });
        Assert.Equal(reported, clipped.Step().GradientNorm, 1e-6 * reported);
        Assert.Equal(limit, Size(clipped.Training), 1e-4 * limit);

        double Size(LorsaUnderTest.Training training)
        {
            var all = training.Gradient.Values.SelectMany(g => g).Select(g => (double)g).ToArray();
            return Math.Sqrt(all.Sum(g => g * g) / (byRootMeanSquare ? all.Count(g => g != 0) : 1));
        }
    }

    [Fact]
    public void Adam_over_memory_equals_Adam_in_torch()
    {
        // More than a vector, with an end that does not fill one, and numbers without a gradient.
        var random = new Random(2);
        float[] Numbers(double scale) => [.. Enumerable.Range(0, 77).Select(i => i % 5 == 0 ? 0 : (float)(((random.NextDouble() * 2) - 1) * scale))];
        var (p, g, m) = (Numbers(1), Numbers(1e-3), Numbers(1e-3));
        var (byTorch, byLoop) = LorsaUnderTest.Adam(p, g, m, Array.ConvertAll(Numbers(1e-3), v => v * v), 0.01, 1e-6);
        Assert.NotEqual(p, byTorch[0]);
        foreach (var (expected, actual) in byTorch.Zip(byLoop))
        {
            LorsaReference.AssertClose(expected, actual, 5e-7, "Adam");
        }
    }

    private static (LorsaUnderTest.Training Training, OrderedDictionary<string, float[]> Start, Func<LorsaStep> Step) Start(
        LorsaTrainingOptions options)
    {
        var random = new Random(8);
        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
        var start = new OrderedDictionary<string, float[]>(
            LorsaUnderTest.Zeros(Config).Select(zero => KeyValuePair.Create(zero.Key, Numbers(zero.Value.Length))));
        var training = new LorsaUnderTest.Training(Config, start, options with
        {
            LearningRate = Rate, LearningRateSchedule = "constant", TopKWarmUp = 0, ContextLength = Length,
        });
        var mask = Enumerable.Repeat(1f, Batch * Length).ToArray();
        return (training, start, () => training.TakeStep(
            Numbers(Batch * Length * Config.ModelWidth), Numbers(Batch * Length * Config.ModelWidth), mask, Batch, Length));
    }
}
