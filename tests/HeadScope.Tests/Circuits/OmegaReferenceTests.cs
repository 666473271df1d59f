namespace HeadScope.Tests;

public class OmegaReferenceTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Singular_values_and_Omega_equal_the_reference(string name)
    {
        var reference = CircuitReference.Load(name);
        var model = CircuitModel.Of(reference.Model);
        using var file = SafetensorsFile.Open(Path.Combine(reference.Folder, "omega.safetensors"));
        var rank = model.Config.HeadWidth;
        var width = model.Config.ModelWidth + 1;
        foreach (var head in model.Heads)
        {
            var omega = Omega.Of(model, head);
            Assert.Equal((rank, width), (omega.Rank, omega.Width));
            var index = (head.Layer * model.Config.HeadCount) + head.Index;
            var values = Read(file, "singular_values", index, rank);
            for (var k = 0; k < rank; k++)
            {
                Assert.True(Math.Abs(omega.SingularValues[k] - values[k]) <= 2e-6 * values[0], $"{head} s[{k}]");
            }

            AssertSameForm(omega, values, Read(file, "left", index, width * rank), Read(file, "right_transposed", index, rank * width));
        }
    }

    // Vectors are free in sign, and in direction where singular values lie close: the form they make is what counts.
    private static void AssertSameForm(Omega omega, float[] values, float[] left, float[] right)
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
                    a += omega.Left[k, i] * x[i];
                    b += omega.Right[k, i] * y[i];
                    c += left[(i * rank) + k] * x[i];
                    d += right[(k * width) + i] * y[i];
                }

                ours += omega.SingularValues[k] * a * b;
                theirs += values[k] * c * d;
            }

            Assert.True(Math.Abs(ours - theirs) < 1e-5 * Math.Max(1, values[0]), $"{omega.Head}: {ours} and {theirs}");
        }
    }

    private static float[] Read(SafetensorsFile file, string name, int index, int length)
    {
        var values = new float[length];
        file.Read(name, (long)index * length, values);
        return values;
    }

    [Fact]
    public void One_decomposition_is_that_of_factors_that_are_kept()
    {
        using var model = Model.Load("demo");
        var folded = CircuitModel.Of(model);
        foreach (var head in folded.Heads)
        {
            var (once, kept) = (Omega.Of(folded, head), OmegaFactors.Of(folded, head).Decompose());
            Assert.Equal(kept.SingularValues.AsFlatSpan().ToArray(), once.SingularValues.AsFlatSpan().ToArray());
            Assert.All(
                kept.Left.AsFlatSpan().ToArray().Zip(once.Left.AsFlatSpan().ToArray())
                    .Concat(kept.Right.AsFlatSpan().ToArray().Zip(once.Right.AsFlatSpan().ToArray())),
                pair => Assert.Equal(pair.First, pair.Second, 1e-13));
        }
    }
}
