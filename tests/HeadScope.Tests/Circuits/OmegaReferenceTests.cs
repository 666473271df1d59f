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
            Assert.Equal([width, rank], omega.U.shape);
            var found = omega.S.Values<double>();
            var index = (head.Layer * model.Config.HeadCount) + head.Index;
            var values = Part(singular, rank);
            for (var k = 0; k < rank; k++)
            {
                Assert.True(Math.Abs(found[k] - values[k]) <= 2e-6 * values[0], $"{head} s[{k}]");
            }

            AssertSameForm($"{head}", omega, values, Part(left, width * rank), Part(right, rank * width));

            float[] Part(float[] all, int length) => all[(index * length)..((index + 1) * length)];
        }
    }

    // Vectors are free in sign, and in direction where singular values lie close: the form they make is what counts.
    private static void AssertSameForm(string head, Omega omega, float[] values, float[] left, float[] right)
    {
        var random = new Random(0);
        var (width, rank) = ((int)omega.U.shape[0], (int)omega.U.shape[1]);
        var (s, u, v) = (omega.S.Values<double>(), omega.U.Values<double>(), omega.V.Values<double>());
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
                    a += u[(i * rank) + k] * x[i];
                    b += v[(i * rank) + k] * y[i];
                    c += left[(i * rank) + k] * x[i];
                    d += right[(k * width) + i] * y[i];
                }

                ours += s[k] * a * b;
                theirs += values[k] * c * d;
            }

            Assert.True(Math.Abs(ours - theirs) < 1e-5 * Math.Max(1, values[0]), $"{head}: {ours} and {theirs}");
        }
    }

    [Fact]
    public void All_heads_of_a_layer_at_once_are_those_one_by_one()
    {
        using var model = Circuit.Fold(Model.Load("demo"));
        for (var layer = 0; layer < model.Config.LayerCount; layer++)
        {
            foreach (var (index, together) in Omega.OfLayer(model, layer).Index())
            {
                var alone = Omega.Of(model, new(layer, index));
                Assert.Equal((alone.Head, alone.HasConstant), (together.Head, together.HasConstant));
                Assert.Equal(alone.S.Values<double>(), together.S.Values<double>());
                Assert.Equal(alone.U.Values<double>(), together.U.Values<double>());
                Assert.Equal(alone.V.Values<double>(), together.V.Values<double>());
            }
        }
    }
}
