using System.Globalization;

namespace HeadScope.Tests;

public class LorsaScheduleTests
{
    [Fact]
    public void Learning_rates_and_k_equal_the_official_codes()
    {
        var rows = File.ReadLines(TestData.Shared("reference", "lorsa", "init", "schedules.csv")).Skip(1).Select(line => line.Split(','));
        var checks = 0;
        foreach (var row in rows)
        {
            var time = double.Parse(row[2], CultureInfo.InvariantCulture);
            var expected = double.Parse(row[3], CultureInfo.InvariantCulture);
            double? actual = row[0] switch
            {
                "llamascopium_lr" => new LorsaLearningRate(Shape(row[1]), 1, 100, 10, 20).At(time),
                "lorsa_lr" => new LorsaLearningRate(LorsaLearningRateShape.ConstantWithWarmUpByTokens, 4e-4, 10000, 1000, 2000, 0.01).At(time),
                "llamascopium_k" => new LorsaTopKSchedule(
                    row[1].StartsWith("linear", StringComparison.Ordinal) ? LorsaTopKShape.Linear : LorsaTopKShape.Exponential,
                    100, 32, 30, row[1].EndsWith('5') ? 5 : 0).At(time),
                "lorsa_k" => new LorsaTopKSchedule(TokenShape(row[1]), 128, 32, 3000).At(time),
                _ => null,
            };
            if (actual is { } number)
            {
                checks++;
                Assert.True(Math.Abs(expected - number) < 1e-9, $"{row[1]} at {time} is {number}, expected {expected}.");
            }
        }

        Assert.True(checks > 1400, $"Only {checks} rows were known.");
    }

    [Fact]
    public void K_is_its_end_without_a_warm_up() => Assert.Equal(32, new LorsaTopKSchedule(LorsaTopKShape.Linear, 64, 32).At(0));

    private static LorsaLearningRateShape Shape(string name) => name switch
    {
        "constant" => LorsaLearningRateShape.Constant,
        "constantwithwarmup" => LorsaLearningRateShape.ConstantWithWarmUp,
        "constantwithwarmupsmooth" => LorsaLearningRateShape.ConstantWithSmoothWarmUp,
        "linearwarmupdecay" => LorsaLearningRateShape.LinearWarmUpDecay,
        "cosineannealing" => LorsaLearningRateShape.CosineAnnealing,
        "cosineannealingwarmup" => LorsaLearningRateShape.CosineAnnealingWarmUp,
        "exponentialwarmup" => LorsaLearningRateShape.ExponentialWarmUp,
        _ => throw new ArgumentException(name),
    };

    private static LorsaTopKShape TokenShape(string name) => name.Split("_1")[0] switch
    {
        "linear" => LorsaTopKShape.LinearByTokens,
        "exponential" => LorsaTopKShape.GeometricByTokens,
        "cosine" => LorsaTopKShape.CosineByTokens,
        "smooth_step" => LorsaTopKShape.SmoothStepByTokens,
        "sqrt" => LorsaTopKShape.SquareRootByTokens,
        _ => throw new ArgumentException(name),
    };
}
