using System.Diagnostics;
using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>What some work took: seconds on the clock, and processor seconds of all threads.</summary>
internal readonly record struct Cost(double Wall, double Processor)
{
    /// <summary>Does some work of this process and measures it.</summary>
    public static Cost Of(Action work)
    {
        var processor = Environment.CpuUsage.TotalTime;
        var start = Stopwatch.GetTimestamp();
        work();
        return new(Stopwatch.GetElapsedTime(start).TotalSeconds, (Environment.CpuUsage.TotalTime - processor).TotalSeconds);
    }

    /// <summary>The medians of both.</summary>
    public static Cost Median(IReadOnlyList<Cost> costs) => new(Middle(costs.Select(cost => cost.Wall)), Middle(costs.Select(cost => cost.Processor)));

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Text(Wall)}, {Text(Processor)}");

    private static string Text(double seconds) =>
        seconds < 1 ? string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:0} ms") : string.Create(CultureInfo.InvariantCulture, $"{seconds:0.00} s");

    private static double Middle(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
