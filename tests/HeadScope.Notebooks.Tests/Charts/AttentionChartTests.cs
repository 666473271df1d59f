using Newtonsoft.Json.Linq;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Attention patterns of one head and of all heads of a layer.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class AttentionChartTests(ChartBrowser browser)
{
    private static readonly string[] Words = ["When", " Mary", " and", HostileText.Attack];

    [Fact]
    public async Task Rows_attend_to_columns_and_what_comes_later_is_a_gap()
    {
        var pattern = zeros(4, 4);
        pattern[2, 0] = 0.75f;
        pattern[2, 1] = 0.25f;
        pattern[0, 3] = 0.5f;
        var chart = Charts.AttentionPattern(pattern, Words, "Head 3.5");
        await browser.AcceptsAsync(chart);
        var figure = JObject.Parse(ChartOutput.Json(chart));
        var map = figure["data"]![0]!;
        Assert.Equal([0.75, 0.25, 0.0, null], map["z"]![2]!.Select(value => (double?)value));
        Assert.Equal([0.0, null, null, null], map["z"]![0]!.Select(value => (double?)value));
        Assert.Equal("·and attends to When", (string?)map["customdata"]![2]![0]);
        Assert.Equal("reversed", (string?)figure["layout"]!["yaxis"]!["autorange"]);
        Assert.Contains("query", (string?)figure["layout"]!["yaxis"]!["title"]!["text"], StringComparison.Ordinal);
        Assert.Contains("0.25, from ' and' to ' Mary'", ChartOutput.Caption(chart), StringComparison.Ordinal);
        var texts = await browser.TextsAsync(chart);
        Assert.Equal(2, texts.Count(text => text == "</script><img…"));
    }

    [Fact]
    public async Task Every_head_of_a_layer_has_its_place_and_its_name()
    {
        var patterns = zeros(1, 6, 4, 4);
        patterns[0, 4, 3, 1] = 0.6f;
        var chart = Charts.AttentionHeads(patterns, Words, 2);
        await browser.AcceptsAsync(chart);
        var figure = JObject.Parse(ChartOutput.Json(chart));
        var maps = figure["data"]!.Where(trace => (string?)trace["type"] == "heatmap").ToArray();
        Assert.Equal(["2.0", "2.1", "2.2", "2.3", "2.4", "2.5"], maps.Select(map => (string?)map["name"]));
        Assert.Equal(0.6, (double)maps[4]["z"]![3]![1]!, 1e-4);
        Assert.Equal(0, (double)maps[3]["z"]![3]![1]!);
        Assert.All(maps[4]["z"]!, (row, query) => Assert.Equal(3 - query, row.Count(value => value.Type == JTokenType.Null)));

        // No two heads share a cell; the same head of each row of heads stands in the same column.
        var places = maps.Select(map => ((int)map["x0"]!, (int)map["y0"]!)).ToArray();
        Assert.All(places, (a, i) => Assert.All(places.Skip(i + 1), b => Assert.True(Math.Abs(a.Item1 - b.Item1) > 4 || Math.Abs(a.Item2 - b.Item2) > 4)));
        var ticks = (JArray)figure["layout"]!["xaxis"]!["tickvals"]!;
        var at = ticks.Select(tick => (int)tick).ToList().IndexOf(places[4].Item1 + 1);
        Assert.Equal("·Mary", (string?)figure["layout"]!["xaxis"]!["ticktext"]![at]);
        Assert.True((double)figure["layout"]!["yaxis"]!["range"]![0]! > (double)figure["layout"]!["yaxis"]!["range"]![1]!);
        var texts = await browser.TextsAsync(chart);
        Assert.All(maps, map => Assert.Single(texts, text => text == (string?)map["name"]));
        Assert.DoesNotContain(texts, text => text.Contains("head 4", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(8, 20, 84)]
    [InlineData(9, 15, 84)]
    [InlineData(12, 40, 84)]
    [InlineData(12, 12, 175)]
    [InlineData(32, 20, 84)]
    [InlineData(32, 64, 175)]
    public async Task All_heads_fit_a_column_and_a_page(int heads, int tokens, double width)
    {
        var patterns = softmax(randn(heads, tokens, tokens), -1);
        string[] texts = [.. Enumerable.Range(0, tokens).Select(i => i % 3 == 0 ? " restaurant" : " a")];
        await browser.FitsAsync(Charts.AttentionHeads(patterns, texts, 3), width);
        await browser.FitsAsync(Charts.AttentionPattern(patterns[0], texts), width);
    }

    [Theory]
    [InlineData(new long[] { 2, 3 })]
    [InlineData(new long[] { 3, 3 })]
    [InlineData(new long[] { 2, 2, 4, 4 })]
    public void Patterns_of_another_shape_are_refused_with_both_shapes(long[] shape)
    {
        var error = Assert.Throws<ArgumentException>(() => Charts.AttentionHeads(zeros(shape), Words, 0));
        Assert.Contains("[head, 4, 4]", error.Message, StringComparison.Ordinal);
        Assert.Contains($"[{string.Join(", ", shape)}]", error.Message, StringComparison.Ordinal);
        Assert.Contains("[4, 4]", Assert.Throws<ArgumentException>(() => Charts.AttentionPattern(zeros(shape), Words)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.AttentionHeads(zeros(1, 4, 4), Words, -1));
    }
}
