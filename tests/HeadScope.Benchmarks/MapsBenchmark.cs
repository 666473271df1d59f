using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>MAPS static scores: one relation on all heads of SmolLM2 against PyTorch, all relations there and on the demo model.</summary>
internal static class MapsBenchmark
{
    /// <summary>Runs it; arguments are SmolLM2's GGUF file, by default the one of the reference data, and --cpu for the processor seconds
    /// of one thread, which a busy machine disturbs less.</summary>
    public static void Run(string[] arguments)
    {
        var processor = arguments.Contains("--cpu", StringComparer.Ordinal);
        Parallelism.Threads = processor ? 1 : Parallelism.Threads;
        var path = arguments.FirstOrDefault(a => a is not "--cpu") is { } given ? given : Path.Combine(
            Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA")
                ?? throw new ArgumentException("Name SmolLM2's model.gguf, or set HEADSCOPE_TEST_DATA to the folder of the reference data."),
            "models", "smollm2-135m-instruct", "model.gguf");
        using var smol = Model.Load(path);
        using var demo = Model.Load("demo");
        using var peer = Peer.Start("maps.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("PyTorch"));
        var relation = Relations.CountryToCapital;
        var scores = HeadMap.Score(smol, relation).Relations[0];
        var work = string.Create(CultureInfo.InvariantCulture, $"static smollm2 {scores.Pairs.Count} {scores.K}");
        var (ours, theirs) = (new List<double>(), new List<double>());
        for (var block = 0; block < 3; block++)
        {
            // The peer's work takes long enough for one run each.
            void Score() => HeadMap.Score(smol, relation);
            ours.Add(processor ? Comparison.ProcessorSeconds(Score, 5) : Comparison.Seconds(Score, 5));
            theirs.Add(peer.Seconds(work, 1, processor));
        }

        Console.WriteLine(new Comparison(
            string.Create(CultureInfo.InvariantCulture, $"SmolLM2, 270 heads: {relation.Name}, {scores.Pairs.Count} pairs, k = {scores.K}"),
            ours.Order().ElementAt(1),
            theirs.Order().ElementAt(1)));
        Alone("SmolLM2, 270 heads: all relations", () => HeadMap.Score(smol, Relations.All, new HeadMapOptions { MinimumPairs = 1 }), 3, processor);
        Alone("demo, 32 heads: all relations", () => HeadMap.Score(demo, Relations.All), 11, processor);
    }

    private static void Alone(string what, Action work, int times, bool processor)
    {
        work();
        var seconds = Enumerable.Range(0, times).Select(_ => processor ? Comparison.ProcessorSeconds(work, 1) : Comparison.Seconds(work, 1)).Order().ElementAt(times / 2);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {seconds:0.000} s | | |"));
    }
}
