using System.Xml.Linq;

namespace HeadScope.Notebooks.Tests;

/// <summary>The sizes of pictures that verbs write.</summary>
public sealed class FigureSizeTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData(new string[0], "175mm", null)]
    [InlineData(new[] { "--width", "84", "--height", "60" }, "84mm", "60mm")]
    public async Task A_picture_has_the_size_that_was_asked_for(string[] options, string width, string? height)
    {
        ChartBrowser.Require();
        var path = Path.Combine(folder, "map.svg");
        var (code, _, error) = await CommandLine.RunAsync(["map", "--relation", "country_to_capital", "--output", path, .. options]);
        Assert.Equal((0, ""), (code, error));
        var svg = XElement.Load(path);
        Assert.Equal(width, (string?)svg.Attribute("width"));
        Assert.Equal(height ?? (string?)svg.Attribute("height"), (string?)svg.Attribute("height"));
    }

    [Fact]
    public async Task A_page_carries_plotly()
    {
        var path = Path.Combine(folder, "map.html");
        var (code, _, error) = await CommandLine.RunAsync("map", "--relation", "country_to_capital", "--output", path);
        Assert.Equal((0, ""), (code, error));
        Assert.Contains(ChartOutput.Carrier, await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("map", "--width", "0")]
    [InlineData("trace", "--height", "-1")]
    [InlineData("signals", "--dpi", "NaN")]
    public async Task A_size_that_is_not_positive_is_refused_before_the_work(string verb, string option, string value)
    {
        var (code, _, error) = await CommandLine.RunAsync(verb, option, value);
        Assert.NotEqual(0, code);
        Assert.Contains($"{option} {value}: expected a positive number", error, StringComparison.Ordinal);
    }
}
