using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

public class TopKTests
{
    [Fact]
    public void Selection_equals_a_stable_sort_with_ties_and_NaN() => Prop.ForAll(
        Gen.Choose(0, int.MaxValue - 1).ToArbitrary(),
        seed =>
        {
            var random = new Random(seed);
            var n = random.Next(0, 200);
            var distinct = random.Next(1, 40);
            var values = new float[n];
            for (var i = 0; i < n; i++)
            {
                values[i] = random.Next(30) == 0 ? float.NaN : random.Next(30) == 0 ? float.NegativeInfinity : random.Next(distinct) - 10;
            }

            var k = random.Next(0, n + 1);
            var expected = Enumerable.Range(0, n).OrderByDescending(i => values[i]).Take(k).ToArray();
            var indices = new int[k];
            var top = new float[k];
            TopK.Of(values, indices, top);
            Assert.Equal(expected, indices);
            Assert.Equal(expected.Select(i => values[i]), top);
            Assert.Equal(expected, TopK.Indices(values, k));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Indices_gives_all_when_there_are_fewer_than_asked_for() => Assert.Equal([1, 0], TopK.Indices([1f, 2f], 10));

    [Fact]
    public void Of_refuses_more_than_there_are() =>
        Assert.Throws<ArgumentException>(() => TopK.Of(new float[2], new int[3]));
}
