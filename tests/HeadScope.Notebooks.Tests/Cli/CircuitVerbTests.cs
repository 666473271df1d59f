using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

public sealed class CircuitVerbTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Trace_prints_the_circuit_and_writes_it()
    {
        var (graph, json, csv) = (Path.Combine(folder, "g.graphml"), Path.Combine(folder, "g.json"), Path.Combine(folder, "g.csv"));
        var (code, printed, error) = await CommandLine.RunAsync(
            "trace", "--prompts", "ioi:4", "--seed", "2", "--roots", "3.0,3.1", "--min-count", "2", "--output", graph, "--output", json, "--output", csv);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("roots 3.0, 3.1", printed, StringComparison.Ordinal);
        using var model = Model.Load("demo");
        var trace = Circuit.Trace(model, Ioi.Prompts(4, seed: 2), new() { Roots = [new(3, 0), new(3, 1)] }).Prune(0, 2);
        Assert.NotEmpty(trace.Edges);
        Assert.Equal(trace.ToJson(), await File.ReadAllTextAsync(json, TestContext.Current.CancellationToken));
        Assert.Equal(trace.ToGraphMl(), await File.ReadAllTextAsync(graph, TestContext.Current.CancellationToken));
        Assert.Equal(trace.ToCsv(), await File.ReadAllTextAsync(csv, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Signals_prints_heads_and_writes_firings()
    {
        var (csv, page) = (Path.Combine(folder, "f.csv"), Path.Combine(folder, "f.html"));
        var (code, printed, error) = await CommandLine.RunAsync("signals", "--prompts", "induction:2", "--output", csv, "--output", page);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("firings of", printed, StringComparison.Ordinal);
        Assert.StartsWith("prompt,head,destination,source", await File.ReadAllTextAsync(csv, TestContext.Current.CancellationToken), StringComparison.Ordinal);
        var html = await File.ReadAllTextAsync(page, TestContext.Current.CancellationToken);
        Assert.Contains("<title>Signals of demo</title>", html, StringComparison.Ordinal);
        Assert.Contains("directions of 20 that make a score", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("trace")]
    [InlineData("signals")]
    public async Task A_place_that_cannot_be_written_is_named_before_the_work(string verb)
    {
        // A file stands where the folder would be. The model does not exist either: the output is looked at first.
        var file = Path.Combine(folder, "file");
        await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        var missing = Path.Combine(file, "such.json");
        var (code, printed, error) = await CommandLine.RunAsync(verb, "--model", Path.Combine(folder, "no-model"), "--output", missing);
        Assert.NotEqual(ExitCode.Done, code);
        Assert.Empty(printed);
        Assert.Contains("such.json", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("trace", "--prompts", "iou:4")]
    [InlineData("trace", "--prompts", "ioi:none")]
    [InlineData("trace", "--roots", "nine")]
    [InlineData("trace", "--output", "graph.xyz")]
    [InlineData("signals", "--output", "signals.xyz")]
    public async Task What_cannot_be_meant_is_wrong_usage(params string[] arguments)
    {
        var (code, _, error) = await CommandLine.RunAsync(arguments);
        Assert.Equal(ExitCode.WrongUsage, code);
        Assert.StartsWith("headscope: ", error, StringComparison.Ordinal);
    }
}
