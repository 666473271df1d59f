using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>The median wall and processor seconds of the same work here and in a peer, measured in turns in one run.</summary>
internal sealed record PairedComparison(string What, Cost Ours, Cost Theirs, string Command)
{
    private const int PauseMilliseconds = 250;

    /// <summary>Measures both in turns, so that whatever else the machine does falls on both, after each has run once.</summary>
    /// <param name="what">What is measured, for the table.</param>
    /// <param name="ours">Does the work here, once.</param>
    /// <param name="theirs">Does it there.</param>
    /// <param name="command">The arguments of the program that measure this row again.</param>
    /// <param name="turns">How many turns each side gets.</param>
    public static PairedComparison Measure(string what, Func<Cost> ours, Func<Cost> theirs, string command, int turns = 11)
    {
        ours();
        theirs();
        var (here, there) = (new Cost[turns], new Cost[turns]);
        for (var turn = 0; turn < turns; turn++)
        {
            here[turn] = ours();
            Thread.Sleep(PauseMilliseconds);
            there[turn] = theirs();
            Thread.Sleep(PauseMilliseconds);
        }

        return new(what, Cost.Median(here), Cost.Median(there), command);
    }

    /// <summary>The head of the table that <see cref="ToString"/> writes rows of.</summary>
    public static string TableHead(string peer) =>
        $"| what | HeadScope: wall, processor | {peer}: wall, processor | HeadScope takes, wall and processor | command |\n|---|---|---|---|---|";

    /// <summary>A row of a Markdown table.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"| {What} | {Ours} | {Theirs} | {Ours.Wall / Theirs.Wall:0.00} ×, {Ours.Processor / Theirs.Processor:0.00} × | `{Command}` |");
}
