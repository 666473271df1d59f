using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Newtonsoft.Json.Linq;

namespace HeadScope.Notebooks.Tests;

/// <summary>Texts whose tokens are coloured.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class TextChartTests(ChartBrowser browser)
{
    [Fact]
    public void Each_token_has_the_colour_of_its_number_and_the_marked_one_an_outline()
    {
        var figure = JObject.Parse(ChartOutput.Json(Charts.ColoredText(["a", " b", " c", " d"], [0, 1, -2, float.NaN], "t", "v", marked: 2)));
        var boxes = figure["data"]![0]!;
        Assert.Equal([Fill(0.5), Fill(0.75), Fill(0), Fill(0.5)], boxes["marker"]!["color"]!.Select(color => (string?)color));
        Assert.Equal([0, 0, 2, 0], boxes["marker"]!["line"]!["width"]!.Select(width => (int)width));
        Assert.Equal([0, 1, 3, 5], boxes["base"]!.Select(x => (int)x));
        Assert.Contains("·c (position 2)<br>v -2", figure["data"]!.SelectMany(trace => trace["hovertext"] ?? new JArray()).Select(text => (string?)text));
        Assert.Contains("the largest is -2 at ' c' (position 2)", (string?)figure["layout"]!["meta"]!["caption"], StringComparison.Ordinal);

        static string Fill(double place) => ChartStyle.At(ChartStyle.Diverging, place).Fill;
    }

    [Fact]
    public void Without_a_negative_number_the_colours_begin_at_nothing()
    {
        var figure = JObject.Parse(ChartOutput.Json(Charts.ColoredText(["a", "b", "c"], [0, 2, 4])));
        Assert.Equal([.. new[] { 0, 0.5, 1 }.Select(place => ChartStyle.At(ChartStyle.Sequential, place).Fill)], figure["data"]![0]!["marker"]!["color"]!.Select(color => (string?)color));
    }

    [Fact]
    public async Task Hostile_tokens_are_seen_letter_by_letter_beside_a_scale()
    {
        var chart = Charts.ColoredText(HostileText.Tokens, [.. HostileText.Tokens.Select((_, i) => (i % 5) - 1.5f)], HostileText.Attack, HostileText.Attack, columns: 120);
        await browser.AcceptsAsync(chart);
        var texts = await browser.TextsAsync(chart);
        Assert.All(HostileText.Seen.Where(seen => seen.Length <= 30), seen => Assert.Contains(seen, texts));
        Assert.Contains(HostileText.Attack, texts);
        Assert.Contains(HostileText.Seen[2][..30], texts);
        Assert.Equal(3, texts.Count(text => text == new string('w', 30)));
        Assert.Contains(texts, text => text.StartsWith("-2.5\u00A0", StringComparison.Ordinal) && text.Contains("\u00A02.5\u00A0</script>", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(84)]
    [InlineData(175)]
    [InlineData(60)]
    public async Task On_paper_lines_are_broken_for_the_width_and_no_token_is_lost(double width)
    {
        string[] tokens = [.. Enumerable.Range(0, 150).Select(i => string.Create(CultureInfo.InvariantCulture, $" word{i * i}"))];
        var chart = Charts.ColoredText(tokens, [.. tokens.Select((_, i) => (float)Math.Sin(i))], "A text", "sine", marked: 100);
        var svg = await browser.PaperAsync(chart, width);
        Assert.Empty(await browser.FaultsAsync(svg));
        var texts = System.Xml.Linq.XElement.Parse(svg).Descendants().Where(e => e.Name.LocalName == "text").Select(e => e.Value).ToArray();
        Assert.All(tokens, token => Assert.Contains(token.Replace(' ', '·'), texts));
        Assert.DoesNotContain("A text", texts);

        // Beyond the lines of the screen, whose number depends on no width.
        var (json, height) = PaperText.Of(chart, width);
        var columns = (int)JObject.Parse(json)["layout"]!["xaxis"]!["range"]![1]!;
        Assert.InRange(columns, (width / 1.45) - 3, width / 1.38);
        var boxes = JObject.Parse(json)["data"]![0]!;
        Assert.All(boxes["base"]!.Zip(boxes["x"]!), box => Assert.InRange((double)box.First + (double)box.Second, 0, columns));
        Assert.InRange(height!.Value, tokens.Sum(token => token.Length) / (double)columns * 3.5, 20 + (tokens.Sum(token => token.Length) / (columns - 10.0) * 4));
    }

    [Fact]
    public void Lines_hold_what_fits_in_the_order_of_the_tokens()
    {
        var tokens = Gen.ArrayOf(Gen.Elements(HostileText.Tokens)).Where(texts => texts.Length > 0);
        Prop.ForAll(tokens.ToArbitrary(), Gen.Choose(30, 130).ToArbitrary(), Gen.Choose(0, 8).ToArbitrary(), (texts, columns, indent) =>
        {
            columns += indent;
            var lines = new TokenLines();
            foreach (var (i, text) in texts.Index())
            {
                lines.Add(i, text);
            }

            var pieces = lines.Pieces;
            var (places, height) = TokenLines.Set([.. pieces.Select(piece => piece.Width)], [.. pieces.Select(piece => piece.Start)], columns, indent);
            var whole = string.Concat(pieces.Select(piece => System.Net.WebUtility.HtmlDecode(piece.Text)));
            return whole == string.Concat(texts.Select(text => HostileText.Seen[Array.IndexOf(HostileText.Tokens, text)]))
                && places.Index().All(place => place.Item.Column >= indent && place.Item.Column + pieces[place.Index].Width <= columns)
                && places.Zip(places.Skip(1)).Index().All(pair => pair.Item.Second.Line > pair.Item.First.Line
                    ? pair.Item.Second.Column == indent : pair.Item.Second.Column == pair.Item.First.Column + pieces[pair.Index].Width)
                && Math.Abs(places[^1].Line + 1 - height) < 1e-9;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Arguments_are_checked()
    {
        Assert.Contains("2 numbers", Assert.Throws<ArgumentException>(() => Charts.ColoredText(["a"], [1, 2])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.ColoredText(["a"], [1], columns: 29));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.ColoredText(["a"], [1], marked: 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.ColoredText(["a"], [1], marked: -1));
    }

    [Fact]
    public void Every_colour_of_a_scale_has_its_counterpart_on_dark_pages_and_both_are_ordered_by_lightness()
    {
        double Lightness(string hex) => Convert.FromHexString(hex.AsSpan(1)) is [var r, var g, var b] ? (0.2126 * r) + (0.7152 * g) + (0.0722 * b) : double.NaN;
        var light = Enumerable.Range(0, 25).Select(step => ChartStyle.At(ChartStyle.Sequential, step / 24.0).Fill).ToArray();
        Assert.Equal(light.OrderByDescending(Lightness), light);
        var dark = light.Select(color => ChartStyle.DarkColors[color]).ToArray();
        Assert.Equal(dark.OrderBy(Lightness), dark);
        foreach (var scale in new[] { ChartStyle.Sequential, ChartStyle.Diverging })
        {
            Assert.All(Enumerable.Range(0, 25), step =>
            {
                var (fill, ink) = ChartStyle.At(scale, step / 24.0);
                Assert.True(Math.Abs(Lightness(fill) - Lightness(ink)) > 70, $"{ink} on {fill}");
                Assert.True(Math.Abs(Lightness(ChartStyle.DarkColors[fill]) - Lightness(ChartStyle.DarkColors[ink])) > 70, $"{ChartStyle.DarkColors[ink]} on {ChartStyle.DarkColors[fill]}");
            });
        }
    }
}
