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
                "llamascopium_lr" => LorsaUnderTest.LearningRate(
                    Rules(100) with { LearningRateSchedule = row[1], LearningRate = 1, LearningRateWarmUp = 10, LearningRateCoolDown = 20 }, (long)time, 0),
                "lorsa_lr" => LorsaUnderTest.LearningRate(
                    Rules(10000) with { FirstCode = true, LearningRate = 4e-4, LearningRateWarmUp = 1000, LearningRateCoolDown = 2000, LearningRateEnd = 0.01 },
                    0, (long)time),
                "llamascopium_k" => LorsaUnderTest.TopK(
                    Rules(100) with { TopKSchedule = row[1].Split('_')[0], InitialTopK = 100, TopKWarmUp = 30, TopKCold = row[1].EndsWith('5') ? 5 : 0 },
                    (long)time, 0),
                "lorsa_k" => LorsaUnderTest.TopK(
                    Rules(10000) with { FirstCode = true, TopKSchedule = row[1].Split("_1")[0], InitialTopK = 128, TopKWarmUp = 3000 }, 0, (long)time),
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
    public void K_is_its_end_without_a_warm_up() =>
        Assert.Equal(32, LorsaUnderTest.TopK(Rules(100) with { InitialTopK = 64, TopKWarmUp = 0 }, 0, 0));

    [Fact]
    public void A_warm_up_below_one_is_a_share_of_the_training()
    {
        var rules = Rules(200) with { LearningRate = 1, LearningRateWarmUp = 0.1 };
        Assert.Equal(LorsaUnderTest.LearningRate(rules with { LearningRateWarmUp = 20 }, 7, 0), LorsaUnderTest.LearningRate(rules, 7, 0));
        Assert.Equal(8.0 / 20, LorsaUnderTest.LearningRate(rules, 7, 0), 1e-12);
    }

    [Theory]
    [InlineData("constantwithwarmup", "cosine", "TopKSchedule is 'cosine'; expected linear or exponential")]
    [InlineData("cosine", "linear", "LearningRateSchedule is 'cosine'; expected constant, constantwithwarmup")]
    public void Unknown_schedules_are_refused_by_name(string rate, string k, string said)
    {
        var rules = Rules(100) with { LearningRateSchedule = rate, TopKSchedule = k };
        var error = Assert.Throws<ArgumentException>(() => LorsaUnderTest.LearningRate(rules, 0, 0) + LorsaUnderTest.TopK(rules, 0, 0));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    // Steps of one token.
    private static LorsaTrainingOptions Rules(long steps) => new() { BatchSequences = 1, ContextLength = 1, Tokens = steps, TopK = 32 };
}
