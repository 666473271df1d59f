using System.Text.Json;
using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

public sealed class MapsVerbTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Salient_lists_and_writes_the_operations_of_heads()
    {
        var path = Path.Combine(folder, "x.json");
        var (code, output, error) = await CommandLine.RunAsync("salient", "--head", "3.5", "--head", "0.1", "--tokens", "3", "--output", path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("head 3.5, mean amplification", output, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        Assert.Equal(2, json.RootElement.GetProperty("heads").GetArrayLength());
        Assert.Equal(3, json.RootElement.GetProperty("heads")[0].GetProperty("operations").GetArrayLength());
    }

    [Fact]
    public async Task Describe_says_what_a_head_does_with_evidence()
    {
        var path = Path.Combine(folder, "x.json");
        var (code, output, error) = await CommandLine.RunAsync("describe", "--head", "1.1", "--output", path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.StartsWith("Head 1.1: ", output, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        Assert.Equal("1.1", json.RootElement.GetProperty("heads")[0].GetProperty("head").GetString());
    }

    [Fact]
    public async Task Ablate_prints_accuracies_beside_random_heads()
    {
        var path = Path.Combine(folder, "x.csv");
        var (code, output, error) = await CommandLine.RunAsync("ablate", "--heads", "2", "--random", "2", "--controls", "0", "--output", path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("country_to_capital on demo: accuracy", output, StringComparison.Ordinal);
        Assert.Equal(1 + (3 * 3), (await File.ReadAllLinesAsync(path, TestContext.Current.CancellationToken)).Length);
    }

    [Fact]
    public async Task Map_dynamic_prints_correlations()
    {
        var path = Path.Combine(folder, "x.json");
        var (code, output, error) = await CommandLine.RunAsync("map", "--dynamic", "--relation", "country_to_capital", "--output", path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("Pearson", output, StringComparison.Ordinal);
        Assert.StartsWith("relation,category", await File.ReadAllTextAsync(Path.Combine(folder, "x.dynamic.csv"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        (code, output, error) = await CommandLine.RunAsync("compare", path, path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("relations have a head", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ExitCode.Failed, "no head 31.2", "salient", "--head", "31.2")]
    [InlineData(ExitCode.WrongUsage, "--head 3", "salient", "--head", "3")]
    [InlineData(ExitCode.WrongUsage, ".json or .csv", "salient", "--output", "x.txt")]
    [InlineData(ExitCode.WrongUsage, "no relation of that name", "ablate", "--relation", "country_to_anthem")]
    [InlineData(ExitCode.WrongUsage, "--shard", "map", "--dynamic", "--shard", "1/2")]
    [InlineData(ExitCode.Failed, "vocabulary", "map", "--k", "99999", "--relation", "country_to_capital")]
    public async Task Wrong_input_is_named(int expected, string message, params string[] arguments)
    {
        var (code, _, error) = await CommandLine.RunAsync(arguments);
        Assert.Equal(expected, code);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }
}
