using System.Xml.Linq;
using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope.Notebooks.Tests;

/// <summary>Every kind of chart at the widths of a column and of a page, for models of many shapes.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class PaperLayoutTests(ChartBrowser browser)
{
    public static TheoryData<string, double, int, int> Cases()
    {
        var cases = new TheoryData<string, double, int, int>();
        foreach (var kind in EveryChart.OfShape.Keys)
        {
            foreach (var (layers, heads) in new[] { (4, 8), (30, 9), (12, 12), (32, 32), (80, 64) })
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
        await browser.FitsAsync(EveryChart.OfShape[kind](layers, heads), widthMm);

    private static readonly string[] Names = ["When", " Mary", " and", " John", " went", " to", " the", " restaurant", ",", " John", " gave", " a", " drink", " to"];

    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    /// <summary>Charts of users, who know nothing of paper.</summary>
    private static readonly Dictionary<string, Func<GenericChart>> Others = new(StringComparer.Ordinal)
    {
        ["lines"] = () => Of(new { xaxis = new { title = "step" }, yaxis = new { title = "a title that is much longer than the axis that it belongs to, which is not high" } }, Line(20, "loss"), Line(20, "held-out loss")),
        ["twenty lines"] = () => Of(new { xaxis = new { title = new { text = "step" } } }, [.. Enumerable.Range(0, 20).Select(i => Line(10, $"layer {i} with some words"))]),
        ["logarithms"] = () => Of(new { xaxis = new { type = "log" }, yaxis = new { type = "log" } }, Scatter(new { x = Powers(9), y = Powers(9), mode = "lines" })),
        ["two scales"] = () => Of(new { yaxis = new { title = "loss" }, yaxis2 = new { title = "dead heads", overlaying = "y", side = "right" } }, Line(9, "loss"), Line(9, "dead heads").With(new { yaxis = "y2" })),
        ["errors"] = () => Of(new { xaxis = new { title = "head", type = "category" } }, Bar(new { x = Heads(40), y = Ramp(40), error_y = new { type = "data", array = Ramp(40) } })),
        ["long categories"] = () => Of(new { }, Bar(new { orientation = "h", x = Ramp(12), y = Enumerable.Range(0, 12).Select(i => $"{i}: the relation of a country to its capital city, and of the city to the country") })),
        ["categories below"] = () => Of(new { }, Bar(new { y = Ramp(3), x = new[] { "random heads", "the heads that were chosen", "all of the others, which nobody looked at" } })),
        ["tokens"] = () => Of(new { xaxis = Words(40), yaxis = Words(40) }, HeatMap(new { z = Square(40), colorbar = new { title = "attention of the last layer" } })),
        ["four maps of one axis"] = () => Of(
            new
            {
                xaxis = new { domain = new[] { 0, 0.22 } }, xaxis2 = new { domain = new[] { 0.25, 0.47 } }, xaxis3 = new { domain = new[] { 0.5, 0.72 } }, xaxis4 = new { domain = new[] { 0.75, 0.97 } },
                yaxis = new { title = "query", autorange = "reversed" },
                annotations = Enumerable.Range(0, 4).Select(i => new { text = $"head 3.{i}", x = 0.11 + (0.25 * i), y = 1.02, xref = "paper", yref = "paper", yanchor = "bottom", showarrow = false }),
            },
            [.. Enumerable.Range(0, 4).Select(i => HeatMap(new { z = Square(8), xaxis = i == 0 ? "x" : $"x{i + 1}", showscale = i == 3, colorbar = new { title = "attention" } }))]),
        ["two colour bars"] = () => Of(
            new { xaxis = new { domain = new[] { 0, 0.4 }, title = "head" }, xaxis2 = new { domain = new[] { 0.6, 1 }, title = "head" }, yaxis = new { title = "layer" }, yaxis2 = new { anchor = "x2", title = "layer" } },
            HeatMap(new { z = Square(12), colorbar = new { x = 0.42, title = "relation score" } }), HeatMap(new { z = Square(12), xaxis = "x2", yaxis = "y2", colorbar = new { title = "suppression score" } })),
        ["a grid"] = () => global::Plotly.NET.CSharp.Chart.Grid(Enumerable.Range(0, 4).Select(i => Of(new { xaxis = new { title = "x" }, yaxis = new { title = "y" } }, Line(30, $"run {i}"))), 2, 2),
        ["margins"] = () => Of(
            new { xaxis = new { domain = new[] { 0, 0.85 } }, yaxis = new { domain = new[] { 0, 0.85 } }, xaxis2 = new { domain = new[] { 0.87, 1 } }, yaxis2 = new { domain = new[] { 0.87, 1 } } },
            HeatMap(new { z = Square(12) }), Bar(new { y = Ramp(12), yaxis = "y2" }), Bar(new { x = Ramp(12), orientation = "h", xaxis = "x2" })),
        ["notes"] = () => Of(
            new { annotations = new object[] { new { text = "an arrow", x = 1, y = 1 }, new { text = "Source: the trained demo model, 64 prompts of the task that was described before, all of its layers", xref = "paper", yref = "paper", x = 0, y = -0.15, showarrow = false } } },
            Scatter(new { x = Ramp(3), y = Ramp(3), mode = "markers+text", text = new[] { "a long label on the left", "middle", "a long label on the right" } })),
        ["pie"] = () => Of(new { }, new Trace("pie").With(new { labels = new[] { "a long label", "b", "c" }, values = new[] { 3, 2, 1 } })),
        ["table"] = () => Of(new { }, Rows(30)),
        ["powers"] = () => Of(
            new { xaxis = new { type = "log", exponentformat = "power", title = "x<sup>2</sup>, in cm<sup>−1</sup>" }, yaxis = new { exponentformat = "power", title = "H<sub>2</sub>O" } },
            Scatter(new { x = Powers(9), y = Powers(9).Select(power => power * 1e9).ToArray(), name = "R<sup>2</sup>" }), Line(9, "loss")),
        ["one salient operation"] = () => Charts.SalientOperations(SalientOperations.Of(Demo.Value, [new Head(0, 5)]), rows: 1),
        ["four patches"] = () => Charts.ActivationPatching(new("demo", Names, [.. Names.Select((name, i) => i == 9 ? " Mary" : name)], " Mary", " John", 3, -2, Map(12, 14), Map(12, 12), Map(12, 14), Map(12, 14))),
        ["a line across"] = () => Of(new { shapes = new[] { new { type = "line", xref = "paper", yref = "paper", x0 = 0, x1 = 1, y0 = 0.5, y1 = 0.5 } } }, Line(9, "loss")),
    };

    private static readonly string LongTitle = string.Concat(Enumerable.Repeat("a title in which somebody wanted to say everything at once, with units (nats a token, a mean over all prompts) and the source ", 3));

    /// <summary>Charts that are as bad as can be.</summary>
    private static readonly Dictionary<string, Func<GenericChart>> Worst = new(StringComparer.Ordinal)
    {
        ["words below"] = () => Of(new { xaxis = Hostile(), yaxis = new { title = "effect" } }, Bar(new { x = Enumerable.Range(0, HostileText.Tokens.Length), y = Ramp(HostileText.Tokens.Length) })),
        ["words beside"] = () => Of(new { yaxis = Hostile(), xaxis = new { title = "effect" } }, Bar(new { orientation = "h", y = Enumerable.Range(0, HostileText.Tokens.Length), x = Ramp(HostileText.Tokens.Length) })),
        ["titles"] = () => Of(new { title = LongTitle, xaxis = new { title = LongTitle }, yaxis = new { title = LongTitle } }, Line(9, "loss")),
        ["a title of one word"] = () => Of(new { xaxis = new { title = new string('w', 300) }, yaxis = new { title = new string('w', 300) } }, Line(9, "loss")),
        ["forty lines"] = () => Of(new { }, [.. Enumerable.Range(0, 40).Select(i => Line(10, $"head {i / 8}.{i % 8} that copies names from the sentence"))]),
    };

    public static TheoryData<string, double> OtherCases()
    {
        var cases = new TheoryData<string, double>();
        foreach (var kind in Others.Keys)
        {
            cases.Add(kind, 84);
            cases.Add(kind, 175);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(OtherCases))]
    public async Task Charts_of_users_come_out_well_too(string kind, double widthMm) => await browser.FitsAsync(Others[kind](), widthMm);

    public static TheoryData<string, double> WorstCases() => [.. from kind in Worst.Keys from width in new[] { 30.0, 84, 175, 400 } select (kind, width)];

    [Theory]
    [MemberData(nameof(WorstCases))]
    public async Task The_worst_charts_fit(string kind, double widthMm) => await browser.FitsAsync(Worst[kind](), widthMm);

    [Theory]
    [InlineData(4)]
    [InlineData(12)]
    public async Task A_pattern_of_few_tokens_is_not_high(int tokens)
    {
        var svg = await browser.PaperAsync(Charts.AttentionPattern(TorchSharp.torch.eye(tokens), Names[..tokens]), 175);
        Assert.InRange(Size(svg).Height, 30, 90);
        Assert.Empty(await browser.FaultsAsync(svg));
    }

    [Fact]
    public async Task A_label_in_bold_stays_where_others_are_thinned()
    {
        var texts = XElement.Parse(await browser.PaperAsync(Others["four patches"](), 84)).Descendants().Where(e => e.Name.LocalName == "text").Select(e => e.Value).ToList();
        Assert.Equal(3, texts.Count(text => text == "·John (·Mary)"));
        Assert.DoesNotContain("·John", texts);
    }

    [Fact]
    public async Task A_legend_takes_a_fifth_at_most_or_the_height_that_it_needs_is_told()
    {
        static GenericChart Chart() => Of(new { }, [.. Enumerable.Range(0, 12).Select(i => Line(10, $"a name that is longer than what anybody would read, of the line {i}"))]);
        Assert.InRange(Legend(await browser.PaperAsync(Chart(), 175, 60)), 0.05, 0.2);
        var narrow = await browser.PaperAsync(Chart(), 84, 76);
        Assert.InRange(Legend(narrow), 0.05, 0.2);
        Assert.Equal(12, XElement.Parse(narrow).Descendants().Where(e => (string?)e.Attribute("class") == "legendtext").Select(e => e.Value).Distinct().Count());
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => browser.PaperAsync(Chart(), 60, 40));
        Assert.Contains("The legend of 12 names takes more than a fifth of the figure; ask for a height of at least", refused.Message, StringComparison.Ordinal);

        static double Legend(string svg)
        {
            var root = XElement.Parse(svg);
            var box = root.Descendants().Single(e => (string?)e.Attribute("class") == "legend").Elements().First(e => (string?)e.Attribute("class") == "bg");
            return (double)box.Attribute("width")! * (double)box.Attribute("height")! / (Size(svg).Width * Size(svg).Height * Math.Pow(96 / 25.4, 2));
        }
    }

    [Fact]
    public async Task A_table_is_as_high_as_its_rows()
    {
        var svg = await browser.PaperAsync(Others["table"](), 84);
        foreach (var i in Enumerable.Range(0, 30))
        {
            Assert.Contains($">row {i}<", svg, StringComparison.Ordinal);
        }

        var refused = await Assert.ThrowsAsync<ArgumentException>(() => browser.PaperAsync(Others["table"](), 84, 40));
        Assert.Contains("needs a height of at least", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Panels_that_would_be_narrower_than_32_mm_go_below_each_other()
    {
        var (narrow, wide) = (await browser.PaperAsync(Others["two colour bars"](), 84), await browser.PaperAsync(Others["two colour bars"](), 175));
        Assert.True(Size(narrow).Height > Size(wide).Height * 1.2);
    }

    [Fact]
    public async Task A_height_is_kept_and_the_same_chart_is_drawn_the_same()
    {
        foreach (var kind in new[] { "lines", "four maps of one axis", "twenty lines" })
        {
            var svg = await browser.PaperAsync(Others[kind](), 120, 90);
            Assert.Equal((120, 90), Size(svg));
            Assert.Equal(svg, await browser.PaperAsync(Others[kind](), 120, 90));
        }
    }

    [Fact]
    public async Task A_size_without_room_for_the_plot_is_refused()
    {
        var refused = await Assert.ThrowsAsync<ArgumentException>(() => browser.PaperAsync(Others["lines"](), 6));
        Assert.Contains("ask for more width", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cells_stand_where_their_numbers_are()
    {
        var svg = XElement.Parse(await browser.PaperAsync(Of(new { yaxis = new { autorange = "reversed" } }, HeatMap(new { z = new[] { new double?[] { 1, null }, [0, 0.5] }, colorscale = ChartStyle.Sequential, zmin = 0, zmax = 1 })), 84));
        var cells = svg.Descendants().Single(e => (string?)e.Attribute("class") == "hm").Descendants().Where(e => e.Name.LocalName == "rect").Select(e => ((double)e.Attribute("x")!, (double)e.Attribute("y")!, (string)e.Attribute("fill")!)).ToList();
        Assert.Equal(3, cells.Count);
        Assert.Equal((0, 0, ChartStyle.At(ChartStyle.Sequential, 1).Fill), cells[0]);
        Assert.Equal((0, ChartStyle.At(ChartStyle.Sequential, 0).Fill), (cells[1].Item1, cells[1].Item3));
        Assert.True(cells[1].Item2 > 10 && cells[2].Item1 > 10);
        Assert.Equal(ChartStyle.At(ChartStyle.Sequential, 0.5).Fill, cells[2].Item3);
    }

    [Fact]
    public async Task Tokens_that_are_entities_or_tags_are_drawn_letter_by_letter()
    {
        var svg = await browser.PaperAsync(Charts.ColoredText(["&lt;", " <b>x</b>", "&amp;", " $x$", "a&b"], [0.1f, 0.5f, 1, 0.2f, 0.7f], "text", "value"), 84);
        var texts = System.Xml.Linq.XElement.Parse(svg).Descendants().Where(e => e.Name.LocalName == "text").Select(e => e.Value).ToHashSet(StringComparer.Ordinal);
        Assert.Superset(new HashSet<string>(StringComparer.Ordinal) { "&lt;", "·<b>x</b>", "&amp;", "·$x$", "a&b" }, texts);
    }

    [Fact]
    public async Task Faults_are_seen()
    {
        const string Svg =
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="20mm" viewBox="0 0 189 75.6">
            <clipPath id="c"><rect x="0" y="0" width="20" height="75"/></clipPath>
            <text x="10" y="20" style="font-size:9px">one</text><text x="12" y="22" style="font-size:9px">two</text>
            <text x="150" y="60" style="font-size:9px">10<tspan style="font-size:70%">5</tspan></text><text x="180" y="40" style="font-size:9px">outside</text><text x="90" y="60" style="font-size:5px">small</text>
            <text x="60" y="20" style="font-size:9px">left</text><text x="60" y="31" style="font-size:9px">below</text>
            <g clip-path="url(#c)"><text x="10" y="70" style="font-size:9px">clipped</text></g>
            <text x="100" y="40" transform="rotate(-45 100 40)" style="font-size:9px">turned</text><text x="110" y="50" transform="rotate(-45 110 50)" style="font-size:9px">turned too</text>
            </svg>
            """;
        var faults = await browser.FaultsAsync(Svg);
        Assert.Collection(
            faults.Order(StringComparer.Ordinal),
            fault => Assert.Equal("\"5\" has 4.72 points", fault),
            fault => Assert.StartsWith("\"clipped\" is cut", fault, StringComparison.Ordinal),
            fault => Assert.StartsWith("\"one\" and \"two\" overlap", fault, StringComparison.Ordinal),
            fault => Assert.StartsWith("\"outside\" leaves the page", fault, StringComparison.Ordinal),
            fault => Assert.Equal("\"small\" has 3.75 points", fault));
    }

    private static GenericChart Of(object layout, params Trace[] traces) =>
        GenericChart.setLayout(new Layout().With(layout), GenericChart.ofTraceObjects(true, Microsoft.FSharp.Collections.ListModule.OfSeq(traces)));

    private static Trace2D Line(int count, string name) => Scatter(new { y = Ramp(count).Select(y => 100 * Math.Sin(y * 30)).ToArray(), mode = "lines", name });

    private static Trace Rows(int count) => new Trace("table").With(new
    {
        header = new { values = new[] { "row", "what it does", "tokens" } },
        cells = new
        {
            values = new object[]
            {
                Enumerable.Range(0, count).Select(i => $"row {i}"), Enumerable.Range(0, count).Select(i => i % 3 == 0 ? "nothing" : "copies a name that was seen before in the sentence, mostly to its end"),
                Enumerable.Range(0, count).Select(_ => "·Mary ·John ·a_token_that_is_much_longer_than_its_column"),
            },
        },
    });

    private static object Hostile() => new { title = "token", tickvals = Enumerable.Range(0, HostileText.Tokens.Length), ticktext = HostileText.Seen.Select(PlotlyText.Escape) };

    private static TorchSharp.torch.Tensor Map(int rows, int columns) => TorchSharp.torch.arange(rows * columns, TorchSharp.torch.float32).sin().reshape(rows, columns);

    private static object Words(int count) => new { tickvals = Enumerable.Range(0, count), ticktext = Enumerable.Range(0, count).Select(i => i % 3 == 0 ? "·the" : "·sentence"), title = "token" };

    private static double[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i / (count - 1.0))];

    private static double[] Powers(int count) => [.. Enumerable.Range(0, count).Select(i => Math.Pow(10, i - 2))];

    private static string[] Heads(int count) => [.. Enumerable.Range(0, count).Select(i => $"{i / 8}.{i % 8}")];

    private static double[][] Square(int count) => [.. Enumerable.Range(0, count).Select(i => Enumerable.Range(0, count).Select(j => i * j * 1.0 / (count * count)).ToArray())];

    private static (double Width, double Height) Size(string svg)
    {
        var root = XElement.Parse(svg);
        return (double.Parse(((string)root.Attribute("width")!)[..^2]), double.Parse(((string)root.Attribute("height")!)[..^2]));
    }
}
