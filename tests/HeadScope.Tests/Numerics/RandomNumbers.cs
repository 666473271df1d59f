using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

/// <summary>Seeded numbers for the tests of this folder, and how a property over them is checked.</summary>
internal static class RandomNumbers
{
    /// <summary>Numbers of a normal distribution with mean 0 and standard deviation <paramref name="scale"/>.</summary>
    public static float[] Normal(int count, int seed, double scale = 1)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (var i = 0; i < count; i++)
        {
            values[i] = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return values;
    }

    /// <summary>The same in fp64.</summary>
    public static double[] NormalDouble(int count, int seed) => [.. Normal(count, seed).Select(v => (double)v)];

    /// <summary>Checks a property for many seeds; the failing one is named.</summary>
    public static void ForSeeds(Action<int> property, int tests = 100) =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), property)
            .Check(Config.QuickThrowOnFailure.WithMaxTest(tests));
}
