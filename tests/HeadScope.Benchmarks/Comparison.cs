using System.Diagnostics;
using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>The median seconds of the same work here and in a peer, measured in turns in one run.</summary>
internal sealed record Comparison(string What, double Ours, double Theirs)
{
    private const int PauseMilliseconds = 250;

    /// <summary>How many times as fast as the peer.</summary>
    public double Ratio => Theirs / Ours;

    /// <summary>
    /// Measures both in alternating blocks, so that whatever else the machine does falls on both. Between blocks is a pause in which
    /// waiting threads of either side go to sleep: OpenBLAS's keep a processor busy for over 100 ms after their last product.
    /// </summary>
    /// <param name="what">What is measured, for the table.</param>
    /// <param name="ours">The work here.</param>
    /// <param name="peer">The peer.</param>
    /// <param name="work">The name and the arguments of the work there.</param>
    /// <param name="blocks">How many blocks each side gets.</param>
    /// <param name="blockSeconds">About how long a block is to take; at least one run of the work.</param>
    /// <param name="processorTime">Whether the processor seconds of both processes count, for one thread on a busy machine.</param>
    public static Comparison Measure(
        string what, Action ours, Peer peer, string work, int blocks = 11, double blockSeconds = 0.15, bool processorTime = false)
    {
        Seconds(ours, 1);
        peer.Seconds(work, 1);
        var ourRepetitions = Repetitions(Seconds(ours, 3));
        var theirRepetitions = Repetitions(peer.Seconds(work, 3));
        var ourTimes = new double[blocks];
        var theirTimes = new double[blocks];
        for (var i = 0; i < blocks; i++)
        {
            ourTimes[i] = processorTime ? ProcessorSeconds(ours, ourRepetitions) : Seconds(ours, ourRepetitions);
            Thread.Sleep(PauseMilliseconds);
            theirTimes[i] = peer.Seconds(work, theirRepetitions, processorTime);
            Thread.Sleep(PauseMilliseconds);
        }

        return new Comparison(what, Median(ourTimes), Median(theirTimes));

        int Repetitions(double seconds) => Math.Max(1, (int)(blockSeconds / seconds));
    }

    /// <summary>The seconds of one run of some work, over several.</summary>
    public static double Seconds(Action work, int repetitions)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < repetitions; i++)
        {
            work();
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds / repetitions;
    }

    /// <summary>The processor seconds of one run of some work, over several, of all threads.</summary>
    public static double ProcessorSeconds(Action work, int repetitions)
    {
        var start = Environment.CpuUsage.TotalTime;
        for (var i = 0; i < repetitions; i++)
        {
            work();
        }

        return (Environment.CpuUsage.TotalTime - start).TotalSeconds / repetitions;
    }

    /// <summary>The head of the table that <see cref="ToString"/> writes rows of.</summary>
    public static string TableHead(string peer) => $"| what | HeadScope | {peer} | ratio |\n|---|---|---|---|";

    /// <summary>A row of a Markdown table.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"| {What} | {Time(Ours)} | {Time(Theirs)} | {Ratio:0.00} |");

    private static string Time(double seconds) => seconds switch
    {
        < 1e-3 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:0.0} µs"),
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:0.00} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.00} s"),
    };

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }
}
