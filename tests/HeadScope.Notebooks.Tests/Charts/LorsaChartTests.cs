using Microsoft.DotNet.Interactive.Formatting;
using Newtonsoft.Json.Linq;
using Plotly.NET;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>What a Lorsa head gathers, where it is active, what it comes from, and how it was trained.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class LorsaChartTests(ChartBrowser browser)
{
    /// <summary>Contributions that tell every cell from every other: 1 in the row 2 stands for the source 0, 2 for the source 1.</summary>
    private static ZPattern Small(params string[] tokens) => new(
        7, [.. tokens.Select((_, i) => i)], tokens, tensor(Enumerable.Range(0, tokens.Length * tokens.Length).Select(i => (float)(i % tokens.Length) + 1 - (0.1f * (i / tokens.Length))).ToArray(), [tokens.Length, tokens.Length]).tril(),
        eye(tokens.Length), arange(tokens.Length).to(float32), tensor(Enumerable.Range(0, tokens.Length).Select(i => i == 2 ? 5f : 0).ToArray()));

    [Fact]
    public void A_z_pattern_shows_the_row_of_its_token()
    {
        var chart = Charts.ZPattern(Small("a", " b", " c", " d"));
        var hover = Hover(chart);
        Assert.Equal(["a (position 0)<br>contribution to z 0.8", "·b (position 1)<br>contribution to z 1.8", "·c (position 2)<br>contribution to z 2.8", "·d (position 3)<br>contribution to z 0"], hover.OrderBy(text => text.Split("position ")[1], StringComparer.Ordinal));
        Assert.Contains("what makes z = 2 at '·c' (position 2)", ChartOutput.Caption(chart), StringComparison.Ordinal);
        Assert.Equal(2, Marked(chart));
        Assert.Equal(1, Marked(Charts.ZPattern(Small("a", " b", " c"), 1)));
        Assert.Contains(Hover(Charts.ZPattern(Small("a", " b", " c"), 1)), text => text.EndsWith("contribution to z 1.9", StringComparison.Ordinal));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.ZPattern(Small("a"), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.ZPattern(Small("a"), -1));
    }

    [Fact]
    public void Activations_are_those_of_each_token() =>
        Assert.Contains("·c (position 2)<br>activation 5", Hover(Charts.Activations(Small("a", " b", " c", " d"))));

    [Fact]
    public async Task Top_activations_are_contexts_with_the_active_token_outlined_in_colours_that_are_the_same_in_all()
    {
        var (one, two) = (Small("a", " b", " c", " d", " e"), Small(HostileText.Attack, " y", " z"));
        var chart = Charts.TopActivations([(one, 2), (two, 1)], before: 1, after: 1);
        await browser.AcceptsAsync(chart);
        var figure = JObject.Parse(ChartOutput.Json(chart));
        Assert.Equal(["·b", "·c", "·d"], figure["data"]!.SelectMany(trace => trace["hovertext"] ?? new JArray()).Select(text => ((string)text!).Split(' ')[0]).Where(text => text is "a" or "·b" or "·c" or "·d" or "·e").Order(StringComparer.Ordinal));
        var boxes = figure["data"]![0]!["marker"]!;

        // " b", " c", " d" of the first; the attack in two parts, " y", " z" of the second.
        Assert.Equal([0, 2, 0, 0, 0, 2, 0], boxes["line"]!["width"]!.Select(width => (int)width));
        Assert.Equal([1.8, 2.8, 0, 0.9, 0.9, 1.9, 0], Enumerable.Range(0, 7).Select(i => Value(figure, i)), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(ChartStyle.At(ChartStyle.Sequential, 1).Fill, (string?)boxes["color"]![1]);
        Assert.Equal(ChartStyle.At(ChartStyle.Sequential, 1.9 / 2.8).Fill, (string?)boxes["color"]![5]);
        var texts = await browser.TextsAsync(chart);
        Assert.Contains("5.00", texts);
        Assert.Contains("0.00", texts);
        Assert.Contains("2 places with activations from 5 to 0", ChartOutput.Caption(chart), StringComparison.Ordinal);

        // "a" holds 0.8 of 0.8 + 1.8 + 2.8.
        Assert.Contains("further back hold at most 15", ChartOutput.Caption(chart), StringComparison.Ordinal);

        static double Value(JObject figure, int piece) => figure["data"]!.Where(trace => trace["hovertext"] is not null)
            .SelectMany(trace => trace["customdata"]!.Zip(trace["hovertext"]!)).Where(pair => (int)pair.First == piece)
            .Select(pair => double.Parse(((string)pair.Second!).Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture)).Single();
    }

    [Fact]
    public void Top_activations_are_of_one_head()
    {
        Assert.Throws<ArgumentException>(() => Charts.TopActivations([]));
        Assert.Throws<ArgumentException>(() => Charts.TopActivations([(Small("a", " b", " c"), 0), (Small("a", " b", " c") with { Head = 8 }, 0)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.TopActivations([(Small("a", " b", " c"), 0)], before: -1));
    }

    [Fact]
    public void Activities_give_the_z_patterns_of_their_places()
    {
        var activities = HeadActivities.Of(DemoResults.Lorsa, LorsaCorpus.FromWindows([.. Enumerable.Range(0, 4).Select(i => Enumerable.Range(20 * i, 32).ToArray())]));
        var index = (int)activities.Counts.argmax().item<long>();
        var places = activities.ZPatterns(DemoResults.Lorsa.Head(index), 2);
        Assert.Equal(2, places.Count);
        Assert.All(places.Zip(activities.Top(index)), pair =>
        {
            Assert.Equal(pair.Second.Activation, (float)pair.First.Pattern.Activations[pair.First.Position], 1e-4f);
            Assert.Equal(pair.Second.Tokens, pair.First.Pattern.Tokens);
        });
    }

    [Fact]
    public void The_origin_and_the_dashboard_name_heads_by_layer_and_show_what_the_head_says()
    {
        var origin = JObject.Parse(ChartOutput.Json(Charts.HeadOrigin(DemoResults.LorsaHead)));
        Assert.Equal(Enumerable.Range(0, 8).Select(h => $"1.{h}"), origin["layout"]!["yaxis"]!["ticktext"]!.Select(text => (string?)text));
        Assert.Equal(DemoResults.LorsaHead.Shares, origin["data"]![0]!["x"]!.Select(value => (double)value));

        var board = JObject.Parse(ChartOutput.Json(Charts.Dashboard(DemoResults.LorsaHead, 4)));
        Assert.Equal([.. DemoResults.LorsaHead.Shares.OrderDescending().Take(4)], board["data"]![0]!["x"]!.Select(value => (double)value));
        Assert.Equal(DemoResults.LorsaHead.Origin.ToString(), (string?)board["layout"]!["yaxis"]!["ticktext"]![0]);
        foreach (var (panel, scores) in new[] { (1, DemoResults.LorsaHead.Reads), (2, DemoResults.LorsaHead.Promotes), (3, DemoResults.LorsaHead.Suppresses) })
        {
            Assert.Equal([.. scores.Take(4).Select(score => (double)score.Score)], board["data"]![panel]!["x"]!.Select(value => (double)value));
            Assert.Equal($"y{panel + 1}", (string?)board["data"]![panel]!["yaxis"]);
            Assert.Equal(4, board["layout"]![$"yaxis{panel + 1}"]!["ticktext"]!.Count());
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.Dashboard(DemoResults.LorsaHead, 0));
    }

    [Fact]
    public void Training_curves_show_every_point_and_the_curve_they_are_compared_with()
    {
        var report = DemoResults.Lorsa.Training!;
        var figure = JObject.Parse(ChartOutput.Json(Charts.TrainingCurves(report, [(64, 0.2), (512, 0.9)])));
        var table = report.Table;
        foreach (var (name, column, axis) in new[] { ("training", "ev", "y"), ("loss", "loss", "y2"), ("silent heads", "silent_heads", "y3") })
        {
            var trace = figure["data"]!.Single(one => (string?)one["name"] == name);
            Assert.Equal(axis, (string?)trace["yaxis"]);
            Assert.Equal(table["tokens"].Cast<long>(), trace["x"]!.Select(value => (long)value));
            Assert.Equal(table[column].Cast<object>().Select(value => Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture)), trace["y"]!.Select(value => (double)value));
        }

        Assert.Equal([0.2, 0.9], figure["data"]!.Single(one => (string?)one["name"] == "reference")["y"]!.Select(value => (double)value));
        Assert.Equal(table["held_out_ev"].Cast<object?>().Count(value => value is not null), figure["data"]!.Single(one => (string?)one["name"] == "held out")["y"]!.Count());
    }

    [Fact]
    public void Heads_and_training_show_themselves_as_charts_and_z_patterns_as_tokens()
    {
        HeadScopeFormatters.Register();
        Assert.Equal([ChartOutput.MimeType, "text/html"], Formatter.GetPreferredMimeTypesFor(typeof(LorsaHead)));
        Assert.Equal([ChartOutput.MimeType, "text/html"], Formatter.GetPreferredMimeTypesFor(typeof(LorsaTrainingReport)));
        Assert.Equal("bar", (string?)JObject.Parse(DemoResults.LorsaHead.ToDisplayString(ChartOutput.MimeType))["data"]![0]!["type"]);
        Assert.Equal(["text/html"], Formatter.GetPreferredMimeTypesFor(typeof(ZPattern)));
        Assert.Equal(TokenView.Of(Small("a", " b", " c")).ToHtml(), Small("a", " b", " c").ToDisplayString("text/html"));
        Assert.Contains("Lorsa head 7", Small("a", " b", " c").ToDisplayString("text/plain"), StringComparison.Ordinal);
    }

    private static string[] Hover(GenericChart chart) =>
        [.. JObject.Parse(ChartOutput.Json(chart))["data"]!.SelectMany(trace => trace["hovertext"] ?? new JArray()).Select(text => (string)text!)];

    private static int Marked(GenericChart chart) =>
        JObject.Parse(ChartOutput.Json(chart))["data"]![0]!["marker"]!["line"]!["width"]!.Index().Single(width => (int)width.Item > 0).Index;
}
