using Microsoft.DotNet.Interactive.Formatting;
using Newtonsoft.Json.Linq;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>The maps of activation patching and of the logit lens.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class PatchingChartTests(ChartBrowser browser)
{
    [Fact]
    public async Task Hostile_tokens_are_shown_as_text()
    {
        foreach (var chart in new[] { Charts.ActivationPatching(DemoResults.Patching(outputs: true)), Charts.LogitLens(DemoResults.Lens(), ranks: true, positions: 2..) })
        {
            var texts = await browser.TextsAsync(chart);
            Assert.Contains(texts, text => text.Contains("⟨U+202E⟩$x^2$", StringComparison.Ordinal));
            Assert.Contains(texts, text => text.Contains("<b>gave</b>", StringComparison.Ordinal));
            Assert.Contains(texts, text => text.Contains('↵'));
        }
    }

    [Fact]
    public void Patches_stand_where_they_belong_with_the_first_layer_above()
    {
        var result = DemoResults.Patching(outputs: true);
        var figure = JObject.Parse(ChartOutput.Json(Charts.ActivationPatching(result)));
        Tensor[] maps = [result.Residual, result.Heads, result.AttentionOutput!, result.MlpOutput!];
        string[] titles = ["residual stream before the layer", "heads", "attention output", "MLP output"];
        foreach (var (i, map) in figure["data"]!.Index())
        {
            Assert.Equal(maps[i].shape, new long[] { map["z"]!.Count(), map["z"]![0]!.Count() });
            Assert.Equal(maps[i][1, 2].item<double>(), (double)map["z"]![1]![2]!);
            Assert.Equal(-(double)map["zmin"]!, (double)map["zmax"]!);
            var (x, y) = (Axis(map, "x"), Axis(map, "y"));
            Assert.Equal(i == 1 ? "head" : "position", (string?)x["title"]!["text"]);
            Assert.Equal(("layer", "reversed"), ((string?)y["title"]!["text"], (string?)y["autorange"]));
            var note = figure["layout"]!["annotations"]![i]!;
            Assert.Equal(titles[i], (string?)note["text"]);
            Assert.Equal(x["domain"]!.Average(at => (double)at), (double)note["x"]!, 1e-9);
            Assert.Equal((double)y["domain"]![1]!, (double)note["y"]!, 1e-9);
            Assert.Equal(i == 1 ? null : "<b>·Anna (·Peter)</b>", (string?)x["ticktext"]?[1]);
        }

        // No two maps share a place.
        Assert.Equal(4, figure["data"]!.Select(map => (Axis(map, "x")["domain"]!.ToString(), Axis(map, "y")["domain"]!.ToString())).Distinct().Count());
        Assert.Contains("' Anna' and ' Peter'", ChartOutput.Caption(Charts.ActivationPatching(result)), StringComparison.Ordinal);
        Assert.Contains("largest head: 2.3 with -0.90", ChartOutput.Caption(Charts.ActivationPatching(result)), StringComparison.Ordinal);

        JToken Axis(JToken map, string letter) => figure["layout"]![letter + "axis" + ((string)map[letter + "axis"]!)[1..]]!;
    }

    [Fact]
    public async Task A_lens_tells_tokens_and_probabilities_of_each_place()
    {
        var lens = DemoResults.Lens();
        var chart = Charts.LogitLens(lens, positions: 1..4);
        var figure = JObject.Parse(ChartOutput.Json(chart));
        var (map, names) = (figure["data"]![0]!, figure["data"]![1]!);
        Assert.Equal((3, 3), (map["z"]!.Count(), map["z"]![0]!.Count()));
        Assert.Equal(lens.Probabilities[2, 1].item<float>(), (double)map["z"]![2]![0]!, 1e-6);
        Assert.Equal((2.5, -0.5), ((double)figure["layout"]!["yaxis"]!["range"]![0]!, (double)figure["layout"]!["yaxis"]!["range"]![1]!));
        var expected = lens.Texts[(int)lens.TopTokens[1, 3, 0].item<long>()];
        Assert.Equal((PlotlyText.Token(expected), 1.5, 1), ((string?)names["text"]![5], (double)names["base"]![5]!, (int)names["y"]![5]!));
        Assert.StartsWith("after layer 1, position 3 ", (string?)map["hovertext"]![1]![2], StringComparison.Ordinal);
        Assert.Contains($"rank {lens.Ranks[1, 3].item<long>()}<br>1. {PlotlyText.Token(expected)} ", (string?)map["hovertext"]![1]![2], StringComparison.Ordinal);
        Assert.Contains("positions 1 to 3 of 6", ChartOutput.Caption(chart), StringComparison.Ordinal);
        Assert.Contains(PlotlyText.Token(expected), await browser.TextsAsync(chart));

        // A rank of 100 is two steps from the end, which is 1.
        var ranks = JObject.Parse(ChartOutput.Json(Charts.LogitLens(lens, ranks: true)))["data"]![0]!;
        Assert.Equal((-2, 0), ((double)ranks["z"]![0]![5]!, (double)ranks["zmax"]!));
        Assert.Equal("100", (string?)ranks["colorbar"]!["ticktext"]![ranks["colorbar"]!["tickvals"]!.Select(tick => (int)tick).ToList().IndexOf(-2)]);
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.LogitLens(lens, positions: 2..2));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.LogitLens(lens, positions: 2..9));
        Assert.Throws<ArgumentNullException>(() => Charts.LogitLens(null!));
        Assert.Throws<ArgumentNullException>(() => Charts.ActivationPatching(null!));
    }

    [Theory]
    [InlineData(84)]
    [InlineData(175)]
    public async Task Tokens_are_written_where_they_fit(double widthMm)
    {
        var svg = await browser.PaperAsync(Charts.LogitLens(DemoResults.Lens()), widthMm);
        Assert.Empty(await browser.FaultsAsync(svg));
        Assert.Contains(">·a<", svg, StringComparison.Ordinal);
        Assert.InRange(double.Parse(svg.Split("height=\"")[1].Split("mm")[0], System.Globalization.CultureInfo.InvariantCulture), 20, 70);
    }

    [Fact]
    public void Results_show_themselves()
    {
        HeadScopeFormatters.Register();
        Assert.Contains("\"heatmap\"", DemoResults.Patching(outputs: false).ToDisplayString(ChartOutput.MimeType), StringComparison.Ordinal);
        Assert.StartsWith("<div", DemoResults.Lens().ToDisplayString("text/html"), StringComparison.Ordinal);
        Assert.StartsWith("Logit lens of demo", DemoResults.Lens().ToDisplayString("text/plain"), StringComparison.Ordinal);
    }
}
