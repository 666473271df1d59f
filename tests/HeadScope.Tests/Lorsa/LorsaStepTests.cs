namespace HeadScope.Tests;

/// <summary>What a training step does with its gradient, against Adam as its paper states it, in fp64.</summary>
public class LorsaStepTests
{
    private const int Batch = 2, Length = 6, Steps = 5;
    private const double Rate = 0.01;

    private static readonly LorsaConfig Config = new() { ModelWidth = 6, Heads = 16, QkHeads = 2, QkWidth = 4, ContextLength = 8, TopK = 3 };

    [Theory]
    [InlineData(LorsaOptimizerKind.Adam)]
    [InlineData(LorsaOptimizerKind.SparseAdam)]
    public void Parameters_move_as_Adam_says(LorsaOptimizerKind kind)
    {
        var (training, start, step) = Start(kind, LorsaClipping.Norm, 0);
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
                    if (kind == LorsaOptimizerKind.Adam || g[i] != 0)
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
    [InlineData(LorsaClipping.Norm)]
    [InlineData(LorsaClipping.RootMeanSquare)]
    public void A_long_gradient_is_shortened_to_the_limit(LorsaClipping clipping)
    {
        var whole = Start(LorsaOptimizerKind.Adam, clipping, 0);
        var reported = whole.Step().GradientNorm;
        Assert.Equal(Size(whole.Training), reported, 1e-5 * reported);
        var limit = reported / 3;
        var clipped = Start(LorsaOptimizerKind.Adam, clipping, limit);
        Assert.Equal(reported, clipped.Step().GradientNorm, 1e-6 * reported);
        Assert.Equal(limit, Size(clipped.Training), 1e-4 * limit);

        double Size(LorsaUnderTest.Training training)
        {
            var all = training.Gradient.Values.SelectMany(g => g).Select(g => (double)g).ToArray();
            return Math.Sqrt(all.Sum(g => g * g) / (clipping == LorsaClipping.Norm ? 1 : all.Count(g => g != 0)));
        }
    }

    private static (LorsaUnderTest.Training Training, OrderedDictionary<string, float[]> Start, Func<LorsaStep> Step) Start(
        LorsaOptimizerKind kind, LorsaClipping clipping, double limit)
    {
        var random = new Random(8);
        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
        var start = new OrderedDictionary<string, float[]>(
            LorsaUnderTest.Zeros(Config).Select(zero => KeyValuePair.Create(zero.Key, Numbers(zero.Value.Length))));
        var training = new LorsaUnderTest.Training(Config, start, new(
            new(LorsaLearningRateShape.Constant, Rate, Steps), new(LorsaTopKShape.Linear, Config.TopK, Config.TopK), new(), 0, kind, clipping, limit, 1));
        var mask = Enumerable.Repeat(1f, Batch * Length).ToArray();
        return (training, start, () => training.TakeStep(
            Numbers(Batch * Length * Config.ModelWidth), Numbers(Batch * Length * Config.ModelWidth), mask, Batch, Length));
    }
}
