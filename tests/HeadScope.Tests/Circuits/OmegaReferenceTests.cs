namespace HeadScope.Tests;

public class OmegaReferenceTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Singular_values_and_Omega_equal_the_reference(string name)
    {
        var reference = CircuitReference.Load(name);
        var model = reference.Model;
        var file = GoldenFile.Open(reference.Folder, "omega.safetensors");
        var (singular, left, right) = (file.Values("singular_values"), file.Values("left"), file.Values("right_transposed"));
        var (rank, width) = (model.Config.HeadWidth, model.Config.ModelWidth + 1);
        foreach (var head in model.Heads)
        {
            var omega = CircuitsUnderTest.Decompose(model, head);
            Assert.Equal((rank, width), (omega.Rank, omega.Width));
            var index = (head.Layer * model.Config.HeadCount) + head.Index;
            var values = Part(singular, rank);
            for (var k = 0; k < rank; k++)
            {
                Assert.True(Math.Abs(omega.SingularValues[k] - values[k]) <= 2e-6 * values[0], $"{head} s[{k}]");
            }

            AssertSameForm($"{head}", omega, values, Part(left, width * rank), Part(right, rank * width));

            float[] Part(float[] all, int length) => all[(index * length)..((index + 1) * length)];
        }
    }

    // Vectors are free in sign, and in direction where singular values lie close: the form they make is what counts.
    private static void AssertSameForm(string head, Decomposition omega, float[] values, float[] left, float[] right)
    {
        var random = new Random(0);
        var (rank, width) = (omega.Rank, omega.Width);
        for (var trial = 0; trial < 5; trial++)
        {
            double[] x = [.. Enumerable.Range(0, width).Select(_ => random.NextDouble() - 0.5)];
            double[] y = [.. Enumerable.Range(0, width).Select(_ => random.NextDouble() - 0.5)];
            var (ours, theirs) = (0.0, 0.0);
            for (var k = 0; k < rank; k++)
            {
                var (a, b, c, d) = (0.0, 0.0, 0.0, 0.0);
                for (var i = 0; i < width; i++)
                {
                    a += omega.Left[(k * width) + i] * x[i];
                    b += omega.Right[(k * width) + i] * y[i];
                    c += left[(i * rank) + k] * x[i];
                    d += right[(k * width) + i] * y[i];
                }

                ours += omega.SingularValues[k] * a * b;
                theirs += values[k] * c * d;
            }

            Assert.True(Math.Abs(ours - theirs) < 1e-5 * Math.Max(1, values[0]), $"{head}: {ours} and {theirs}");
        }
    }

    [Fact]
    public void One_decomposition_is_that_of_factors_that_are_kept()
    {
        using var model = Model.Load("demo");
        foreach (var head in model.Heads)
        {
            var (once, kept) = (CircuitsUnderTest.Decompose(model, head), CircuitsUnderTest.DecomposeKept(model, head));
            Assert.Equal(kept.SingularValues, once.SingularValues);
            Assert.All(
                kept.Left.Zip(once.Left).Concat(kept.Right.Zip(once.Right)),
                pair => Assert.Equal(pair.First, pair.Second, 1e-13));
        }
    }
}
