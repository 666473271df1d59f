namespace HeadScope;

/// <summary>What is drawn at random.</summary>
internal static class Draws
{
    /// <summary>A number from the standard normal distribution (Box and Muller 1958).</summary>
    public static double Normal(this Random random)
    {
        var (u, v) = (1 - random.NextDouble(), random.NextDouble());
        return Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v);
    }

    /// <summary>One of some things, drawn again until it fits.</summary>
    public static T Of<T>(this Random random, IReadOnlyList<T> things, Func<T, bool>? fits = null)
    {
        var drawn = things[random.Next(things.Count)];
        return fits?.Invoke(drawn) != false ? drawn : random.Of(things, fits);
    }
}
