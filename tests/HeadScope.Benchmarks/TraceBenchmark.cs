using System.Diagnostics;
using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>
/// Tracing 256 IOI-like prompts on GPT-2 small's shape, in the published and in the default setting, and 16 prompts on the demo model.
/// <para>
/// The peer does what the authors' code does, in PyTorch: the full SVD of every head; and for each firing that is followed, on both sides,
/// the outputs of all earlier heads at all tokens of all prompts, of which one vector is used. One SVD and one such step (of a head in the
/// middle of the model) are timed; the time of the whole is 144 × SVD + the number of different firings that our trace followed × step.
/// Left out, in its favour: its forward pass, finding the firings, and that it follows a firing again on every way that leads to it.
/// </para>
/// </summary>
internal static class TraceBenchmark
{
    /// <summary>Runs it; the argument is the number of prompts, 256 when not given.</summary>
    public static void Run(string[] arguments)
    {
        var count = arguments is [var given] ? int.Parse(given, CultureInfo.InvariantCulture) : 256;
        using var demo = Model.Load("demo");
        using var random = RandomGpt2.Load();
        using var peer = Peer.Start("circuits.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));

        var small = Ioi.Prompts(16).For(demo);
        Circuit.Trace(demo, small);
        Report("demo model, 16 prompts, default", () => Circuit.Trace(demo, small));

        // The demo model's tokens are tokens of the larger vocabulary too. Random heads do not look for the indirect object, so whatever
        // the roots fire on is followed, and all heads of the last three layers are roots.
        var prompts = Ioi.Prompts(count).For(demo) with { RootSource = null };
        Head[] roots = [.. random.Heads.Where(h => h.Layer >= 9)];
        Report("GPT-2 small's shape, default", () => Circuit.Trace(random, prompts, new() { Roots = roots }));
        var (seconds, trace) = Report(
            "GPT-2 small's shape, published", () => Circuit.Trace(random, prompts, TraceOptions.Published with { Roots = roots }));

        var svd = peer.Seconds("svd 1", 3);
        var step = peer.Seconds(string.Create(CultureInfo.InvariantCulture, $"follow {count} 15 5"), 3);
        var theirs = (144 * svd) + (Followed(trace) * step);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"PyTorch in the authors' way: SVD {svd:0.000} s a head, following {step:0.000} s a firing: {theirs:0} s, {theirs / seconds:0} times as long"));
    }

    private static (double Seconds, Circuit Trace) Report(string what, Func<Circuit> trace)
    {
        GC.Collect();
        ResetPeak();
        var start = Stopwatch.GetTimestamp();
        var processor = Process.GetCurrentProcess().TotalProcessorTime;
        var result = trace();
        var processorSeconds = (Process.GetCurrentProcess().TotalProcessorTime - processor).TotalSeconds;
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {seconds:0.00} s ({processorSeconds:0.0} s of processors), peak {Peak():0.00} GB, {result.PromptCount} prompts, {result.Firings.Values.Sum()} firings, "
            + $"{Followed(result)} of them followed, {result.Edges.Count} edges"));
        return (seconds, result);
    }

    private static int Followed(Circuit trace) => trace.Walked.Select(step => step.Receiver).Distinct().Count();

    // Linux starts to measure the peak anew.
    private static void ResetPeak()
    {
        if (File.Exists("/proc/self/clear_refs"))
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
    }

    private static double Peak()
    {
        const string status = "/proc/self/status";
        var line = File.Exists(status)
            ? File.ReadLines(status).FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal))
            : null;
        return line is null
            ? Process.GetCurrentProcess().PeakWorkingSet64 / 1e9
            : double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) * 1024 / 1e9;
    }
}
