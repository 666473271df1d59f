namespace HeadScope.Tests;

public class LorsaRotaryTests
{
    [Theory]
    [InlineData(128, 500000, 8, 1, 4, 8192)]
    [InlineData(64, 500000, 32, 1, 4, 8192)]
    [InlineData(64, 10000, 4, 2, 6, 512)]
    public void The_scaling_of_a_model_is_found_from_its_frequencies(
        int dimensions, double theta, double factor, double low, double high, int length)
    {
        var model = new Rotary(dimensions, theta, Rotary.Llama3Divisors(dimensions, theta, factor, low, high, length));
        var ours = LorsaUnderTest.Frequencies(model);
        for (var pair = 0; pair < ours.Length; pair++)
        {
            Assert.Equal(model.Frequency(pair), ours[pair], model.Frequency(pair) * 1e-3);
        }
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    public void The_rotation_is_that_of_the_formula_and_keeps_lengths(bool adjacent, int repeat)
    {
        const int Position = 13, Dimensions = 6;
        var random = new Random(1);
        var v = Enumerable.Range(0, 8).Select(_ => (float)random.NextDouble()).ToArray();
        var config = LorsaUnderTest.Shape(8) with { RotaryDimensions = Dimensions, RotaryAdjacentPairs = adjacent, RotaryRepeat = repeat };
        var expected = v.SelectMany(x => Enumerable.Repeat((double)x, repeat)).ToArray();
        for (var m = 0; m < Dimensions / 2; m++)
        {
            var (i, j) = adjacent ? (2 * m, (2 * m) + 1) : (m, m + (Dimensions / 2));
            var (sin, cos) = Math.SinCos(Position * Math.Pow(10000, -2.0 * m / Dimensions));
            (expected[i], expected[j]) = ((expected[i] * cos) - (expected[j] * sin), (expected[j] * cos) + (expected[i] * sin));
        }

        var rotated = LorsaUnderTest.Rotate(config, v, Position);
        LorsaReference.AssertClose([.. expected.Select(x => (float)x)], rotated, 1e-6, "The vector");
        Assert.Equal(repeat * v.Sum(x => (double)x * x), rotated.Sum(x => (double)x * x), 1e-5);
    }
}
