using HeadScope;
using HeadScope.Benchmarks;

LibTorch.Prepare(); // peers may make tensors before HeadScope does

var benchmarks = new SortedDictionary<string, Action<string[]>>(StringComparer.Ordinal)
{
    ["decode"] = DecodeBenchmark.Run,
    ["forward"] = ForwardBenchmark.Run,
    ["kernel"] = KernelBenchmark.Run,
    ["lorsa"] = LorsaBenchmark.Run,
    ["lorsa-quality"] = LorsaQualityBenchmark.Run,
    ["maps"] = MapsBenchmark.Run,
    ["salient"] = SalientBenchmark.Run,
    ["omega"] = OmegaBenchmark.Run,
    ["start"] = StartBenchmark.Run,
    ["tokenize"] = TokenizeBenchmark.Run,
    ["trace"] = TraceBenchmark.Run,
};

if (args is [var name, .. var rest] && benchmarks.TryGetValue(name, out var run))
{
    run(rest);
    return 0;
}

Console.Error.WriteLine($"Name one of these benchmarks: {string.Join(", ", benchmarks.Keys)}. README.md says what they need.");
return 2;
