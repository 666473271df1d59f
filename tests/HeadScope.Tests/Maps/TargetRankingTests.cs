using FsCheck;
using FsCheck.Fluent;
using static TorchSharp.torch;

namespace HeadScope.Tests;

public class TargetRankingTests
{
    [Fact]
    public void Counting_finds_what_sorting_finds_also_with_ties_and_copied_rows()
    {
        // Small whole numbers: products are exact, and equal logits are everywhere.
        var cases = from seed in Gen.Choose(0, int.MaxValue)
                    from vocabulary in Gen.Choose(1, 1500)
                    from width in Gen.Choose(1, 20)
                    from size in Gen.Choose(1, 3)
                    from k in Gen.Choose(1, 30)
                    select (seed, vocabulary, width, size, k);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(60), Prop.ForAll(cases.ToArbitrary(), given =>
        {
            var (seed, vocabulary, width, size, k) = given;
            var random = new Random(seed);
            float[] Whole(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)random.Next(-size, size + 1))];
            var unembedding = Whole(vocabulary * width);
            CopyRows(unembedding, width, random);
            var vectors = Whole(40 * width);
            int[] targets = [.. Enumerable.Range(0, 40).Select(_ => random.Next(vocabulary))];
            var (up, down) = MapsUnderTest.Hits(unembedding, vectors, targets, Math.Min(k, vocabulary));
            var plain = MapsUnderTest.Hits(unembedding, vectors, targets, Math.Min(k, vocabulary), plain: true);
            Assert.Equal(up, plain.Up);
            Assert.Equal(down, plain.Down);
            for (var i = 0; i < targets.Length; i++)
            {
                var logits = Enumerable.Range(0, vocabulary).Select(t => Dot(unembedding, t, vectors, i, width)).ToArray();
                var sorted = logits.Order().ToArray();
                var target = logits[targets[i]];
                var above = vocabulary - 1 - Array.FindLastIndex(sorted, x => x == target);
                var below = Array.FindIndex(sorted, x => x == target);
                Assert.Equal(above < Math.Min(k, vocabulary), up.Contains(i));
                Assert.Equal(below < Math.Min(k, vocabulary), down.Contains(i));
            }
        }));
    }

    [Theory]
    [InlineData(false, ScalarType.Float32)]
    [InlineData(true, ScalarType.Float32)]
    [InlineData(false, ScalarType.Float64)]
    public void Logits_that_fp32_cannot_tell_apart_are_compared_in_fp64(bool plain, ScalarType dtype)
    {
        // Beside a large common part, token 1 is above token 0 and token 2 below it by less than fp32 sums keep.
        const int Width = 64;
        var unembedding = new float[3 * Width];
        unembedding.AsSpan().Fill(1000);
        unembedding[Width + 5] += 0.0005f;
        unembedding[(2 * Width) + 5] -= 0.0005f;
        var vector = new float[Width];
        vector.AsSpan().Fill(1);
        var (up, down) = MapsUnderTest.Hits(unembedding, [.. vector, .. vector, .. vector], [0, 1, 2], 1, plain, dtype);
        Assert.Equal([1], up);
        Assert.Equal([2], down);
    }

    [Fact]
    public void One_pass_over_memory_counts_what_torch_s_operations_count()
    {
        // Random rows, of which some are zero: all their logits are tied.
        var random = new Random(3);
        float[] Normal(int count) => [.. Enumerable.Range(0, count).Select(i => i / 48 % 7 == 0 ? 0 : random.NextSingle() - 0.5f)];
        var (unembedding, vectors) = (Normal(5000 * 48), Normal(300 * 48));
        int[] targets = [.. Enumerable.Range(0, 300).Select(_ => random.Next(5000))];
        foreach (var k in (int[])[1, 40, 2000])
        {
            var (up, down) = MapsUnderTest.Hits(unembedding, vectors, targets, k);
            var plain = MapsUnderTest.Hits(unembedding, vectors, targets, k, plain: true);
            Assert.NotEmpty(up);
            Assert.Equal(plain.Up, up);
            Assert.Equal(plain.Down, down);
        }
    }

    [Fact]
    public void A_damaged_unembedding_is_named()
    {
        var unembedding = new float[3000 * 4];
        unembedding[(1234 * 4) + 1] = float.NaN;
        var error = Assert.Throws<InvalidDataException>(() => MapsUnderTest.Hits(unembedding, [1, 2, 3, 4], [7], 1));
        Assert.Contains("W_U of token 1234", error.Message, StringComparison.Ordinal);
    }

    private static void CopyRows(float[] unembedding, int width, Random random)
    {
        var rows = unembedding.Length / width;
        for (var i = 0; i < rows / 10; i++)
        {
            unembedding.AsSpan(random.Next(rows) * width, width).CopyTo(unembedding.AsSpan(random.Next(rows) * width, width));
        }
    }

    private static double Dot(float[] a, int i, float[] b, int j, int width)
    {
        var sum = 0.0;
        for (var k = 0; k < width; k++)
        {
            sum += (double)a[(i * width) + k] * b[(j * width) + k];
        }

        return sum;
    }
}
