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

    [Fact]
    public void Rotating_back_undoes_the_rotation()
    {
        var random = new Random(1);
        foreach (var adjacent in new[] { false, true })
        {
            var v = Enumerable.Range(0, 8).Select(_ => (float)random.NextDouble()).ToArray();
            var (rotated, back) = LorsaUnderTest.Rotate(new() { Dimensions = 6, AdjacentPairs = adjacent }, v, 13, 20);
            Assert.Equal(v.Sum(x => (double)x * x), rotated.Sum(x => (double)x * x), 1e-5);
            LorsaReference.AssertClose(v, back, 1e-6, "The vector");
        }
    }
}
