using Plotly.NET;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Every kind of chart at the widths of a column and of a page, for models of many shapes.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class PaperLayoutTests(ChartBrowser browser)
{
    /// <summary>The kinds of charts, each made for a model of so many layers and heads.</summary>
    private static readonly Dictionary<string, Func<int, int, GenericChart>> Kinds = new(StringComparer.Ordinal)
    {
        ["grid of heads"] = (layers, heads) => Charts.HeadGrid(Random(layers, heads), "Direct effects", "direct effect on the logit difference"),
        ["head map of one relation"] = (layers, heads) => Charts.HeadMap(RandomMaps.Of(layers, heads), "country_to_capital", threshold: 0.2),
        ["one head"] = (layers, heads) => Charts.HeadMap(RandomMaps.Of(layers, heads), new Head(layers - 1, heads - 1)),
        ["two maps"] = (layers, heads) => Charts.HeadMaps(RandomMaps.Of(12, 12, "gpt2"), RandomMaps.Of(layers, heads), "country_to_capital"),
        ["relation scores"] = (layers, heads) => Charts.RelationScores(RandomMaps.Of(layers, heads).Relations[0]),
        ["relation comparison"] = (layers, heads) => Charts.RelationComparison(RandomMaps.Of(layers, heads)),
        ["comparison of models"] = (layers, heads) => Charts.Comparison(RandomMaps.Of(12, 12, "gpt2"), RandomMaps.Of(layers, heads)),
        ["circuit"] = (layers, heads) => Charts.Circuit(RandomCircuits.Of(layers, heads), 60),
        ["signal directions"] = (layers, heads) => Charts.SignalDirections(RandomCircuits.SignalsOf(layers, heads)),
        ["signal table"] = (layers, heads) => Charts.SignalTable(RandomCircuits.SignalsOf(layers, heads)),
        ["upstream"] = (layers, heads) => Charts.Upstream(RandomCircuits.UpstreamOf(layers, heads)),
        ["interventions"] = (layers, heads) => Charts.Interventions(RandomCircuits.InterventionOf(layers, heads)),
    };

    public static TheoryData<string, double, int, int> Cases()
    {
        var cases = new TheoryData<string, double, int, int>();
        foreach (var kind in Kinds.Keys)
        {
            foreach (var (layers, heads) in new[] { (30, 9), (12, 12), (32, 32), (80, 64) })
            {
                cases.Add(kind, 84, layers, heads);
                cases.Add(kind, 175, layers, heads);
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Nothing_overlaps_or_is_cut_and_text_has_6_to_8_points(string kind, double widthMm, int layers, int heads) =>
        await browser.FitsAsync(Kinds[kind](layers, heads), widthMm);

    [Fact]
    public async Task Faults_are_seen()
    {
        const string Svg =
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="20mm" viewBox="0 0 189 75.6">
            <clipPath id="c"><rect x="0" y="0" width="20" height="75"/></clipPath>
            <text x="10" y="20" style="font-size:9px">one</text><text x="12" y="22" style="font-size:9px">two</text>
            <text x="180" y="40" style="font-size:9px">outside</text><text x="90" y="60" style="font-size:5px">small</text>
            <text x="60" y="20" style="font-size:9px">left</text><text x="60" y="31" style="font-size:9px">below</text>
            <g clip-path="url(#c)"><text x="10" y="70" style="font-size:9px">clipped</text></g>
            <text x="100" y="40" transform="rotate(-45 100 40)" style="font-size:9px">turned</text><text x="110" y="50" transform="rotate(-45 110 50)" style="font-size:9px">turned too</text>
            </svg>
            """;
        var faults = await browser.FaultsAsync(Svg);
        Assert.Collection(
            faults.Order(StringComparer.Ordinal),
            fault => Assert.StartsWith("\"clipped\" is cut", fault, StringComparison.Ordinal),
            fault => Assert.StartsWith("\"one\" and \"two\" overlap", fault, StringComparison.Ordinal),
            fault => Assert.StartsWith("\"outside\" leaves the page", fault, StringComparison.Ordinal),
            fault => Assert.Equal("\"small\" has 3.75 points", fault));
    }

    private static TorchSharp.torch.Tensor Random(params long[] shape)
    {
        using var generator = new Generator(7, CPU);
        return randn(shape, generator: generator);
    }
}
