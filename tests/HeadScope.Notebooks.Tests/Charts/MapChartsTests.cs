using System.Globalization;
using System.Text.Json;
using Plotly.NET;

namespace HeadScope.Notebooks.Tests;

/// <summary>The charts of MAPS and the plain ones.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class MapChartsTests(ChartBrowser browser)
{
    [Fact]
    public void Each_head_stands_at_its_layer_and_number_layer_0_at_the_top()
    {
        foreach (var suppression in new[] { false, true })
        {
            var chart = Json(Charts.HeadMap(DemoResults.Map, "country_to_capital", suppression));
            var scores = DemoResults.Map["country_to_capital"];
            AssertCells(head => scores.Of(head, suppression).Score, chart.GetProperty("data")[0]);
            Assert.Equal("reversed", chart.GetProperty("layout").GetProperty("yaxis").GetProperty("autorange").GetString());
            Assert.Equal(suppression ? "suppression score" : "relation score", chart.GetProperty("data")[0].GetProperty("colorbar").GetProperty("title").GetProperty("text").GetString());
        }
    }

    [Fact]
    public async Task Layer_0_is_drawn_above_layer_3_and_head_0_left_of_head_7()
    {
        var path = await browser.PaperAsync(Charts.HeadMap(DemoResults.Map, "country_to_capital"), 84);
        var cells = System.Xml.Linq.XElement.Parse(path).Descendants().Where(e => e.Name.LocalName == "g" && (string?)e.Attribute("shape-rendering") == "crispEdges").First().Elements().ToArray();
        Assert.Equal(32, cells.Length);
        double At(System.Xml.Linq.XElement cell, string name) => double.Parse(cell.Attribute(name)!.Value, CultureInfo.InvariantCulture);
        var strongest = DemoResults.Map["country_to_capital"].Top(1)[0].Head;
        var darkest = cells.MinBy(cell => Convert.FromHexString(cell.Attribute("fill")!.Value.AsSpan(1)).Sum(part => part))!;
        Assert.Equal(strongest, new Head(
            cells.Select(cell => At(cell, "y")).Distinct().Count(y => y < At(darkest, "y") - 0.1), cells.Select(cell => At(cell, "x")).Distinct().Count(x => x < At(darkest, "x") - 0.1)));
    }

    [Fact]
    public void The_menu_shows_relation_beside_suppression_for_each_relation()
    {
        var chart = Json(Charts.HeadMap(DemoResults.Map));
        var (data, layout) = (chart.GetProperty("data"), chart.GetProperty("layout"));
        var buttons = layout.GetProperty("updatemenus")[0].GetProperty("buttons").EnumerateArray().ToArray();
        Assert.Equal(["strongest relation of each head", "country to capital", "name copying"], buttons.Select(button => button.GetProperty("label").GetString()));
        Assert.Equal(["relation score", "suppression score"], layout.GetProperty("annotations").EnumerateArray().Select(note => note.GetProperty("text").GetString()));
        string[] relations = ["country_to_capital", "name_copying"];
        for (var view = 0; view < 3; view++)
        {
            int[] shown = [.. buttons[view].GetProperty("args")[0].GetProperty("visible").EnumerateArray().Select((visible, i) => visible.GetBoolean() ? i : -1).Where(i => i >= 0)];
            Assert.Equal(2, shown.Length);
            foreach (var suppression in new[] { false, true })
            {
                var trace = data[shown[suppression ? 1 : 0]];
                Assert.Equal(suppression ? "x2" : "x", trace.GetProperty("xaxis").GetString());
                Assert.Equal(view == 0 ? "True" : "legendonly", trace.GetProperty("visible").ToString());
                AssertCells(head => relations.Where((_, i) => view == 0 || i == view - 1).Max(name => DemoResults.Map[name].Of(head, suppression).Score), trace);
            }
        }
    }

    [Fact]
    public async Task A_choice_in_the_menu_shows_its_two_maps() => Assert.Equal(
        "4, 5",
        await browser.Page.EvaluateFunctionAsync<string>(
            """
            async json => {
              const figure = JSON.parse(json), place = document.body.appendChild(document.createElement('div'));
              await Plotly.newPlot(place, figure.data, figure.layout, figure.config);
              const button = figure.layout.updatemenus[0].buttons[2];
              await Plotly[button.method](place, ...button.args);
              const shown = place._fullData.map((trace, i) => trace.visible === true ? i : -1).filter(i => i >= 0);
              place.remove();
              return shown.join(', ');
            }
            """,
            ChartOutput.Json(Charts.HeadMap(DemoResults.Map))));

    [Fact]
    public void Cells_below_the_threshold_are_pale_and_the_caption_says_so()
    {
        var scores = DemoResults.Map["country_to_capital"];
        var limit = scores.Top(2)[1].Score;
        var chart = Charts.HeadMap(DemoResults.Map, "country_to_capital", threshold: limit);
        var cells = Json(chart).GetProperty("data")[0];
        AssertCells(head => scores.Of(head).Score, cells);
        (double Place, string Color)[] scale = [.. cells.GetProperty("colorscale").EnumerateArray().Select(stop => (stop[0].GetDouble(), stop[1].GetString()!))];
        Assert.Equal((0.0, scale[0].Color, scale[1].Place), (scale[0].Place, scale[1].Color, scale[2].Place));
        Assert.InRange(limit - (scale[1].Place * cells.GetProperty("zmax").GetDouble()), 0, 1e-5);
        Assert.Equal(1, scale[^1].Place);
        Assert.Equal(scale.Length, scale.Skip(1).Select(stop => stop.Color).Distinct().Count() + 1);
        Assert.Contains("are pale", ChartOutput.Caption(chart), StringComparison.Ordinal);
        Assert.DoesNotContain("pale", ChartOutput.Caption(Charts.HeadMap(DemoResults.Map, "country_to_capital")), StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.HeadMap(DemoResults.Map, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.RelationScores(scores, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.RelationComparison(DemoResults.Map, threshold: -0.1));
    }

    [Fact]
    public void One_head_has_a_pair_of_bars_for_each_relation()
    {
        var head = new Head(0, 5);
        var chart = Json(Charts.HeadMap(DemoResults.Map, head));
        var labels = chart.GetProperty("layout").GetProperty("yaxis").GetProperty("ticktext").EnumerateArray().Select(text => text.GetString()!.Replace(' ', '_')).ToArray();
        Assert.Equal(2, labels.Length);
        foreach (var suppression in new[] { false, true })
        {
            var bars = chart.GetProperty("data")[suppression ? 1 : 0];
            Assert.Equal(suppression ? "suppression score" : "relation score", bars.GetProperty("name").GetString());
            Assert.Equal(labels.Select(name => DemoResults.Map[name].Of(head, suppression).Score), bars.GetProperty("x").EnumerateArray().Select(x => x.GetSingle()));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.HeadMap(DemoResults.Map, new Head(4, 0)));
        var part = HeadMap.Score(DemoResults.Model, Relations.CountryToCapital, new HeadMapOptions { Shard = (1, 4) });
        Assert.Contains("3.0", Assert.Throws<ArgumentException>(() => Charts.HeadMap(part, new Head(3, 0))).Message, StringComparison.Ordinal);
        Assert.Equal(8, Json(Charts.HeadMap(part)).GetProperty("data")[0].GetProperty("z").EnumerateArray().SelectMany(row => row.EnumerateArray()).Count(z => z.ValueKind == JsonValueKind.Number));
    }

    [Fact]
    public void Two_maps_share_their_colours()
    {
        var weaker = HeadMap.FromJson(DemoResults.Map.ToJson().Replace("\"demo\"", "\"other\"", StringComparison.Ordinal));
        var chart = Json(Charts.HeadMaps(DemoResults.Map, weaker, "name_copying"));
        var data = chart.GetProperty("data");
        Assert.Equal(["demo", "other"], chart.GetProperty("layout").GetProperty("annotations").EnumerateArray().Select(note => note.GetProperty("text").GetString()));
        Assert.Equal(data[0].GetProperty("zmax").GetDouble(), data[1].GetProperty("zmax").GetDouble());
        Assert.Equal([false, true], data.EnumerateArray().Select(trace => trace.GetProperty("showscale").GetBoolean()));
        Assert.All(data.EnumerateArray(), trace => AssertCells(head => DemoResults.Map["name_copying"].Of(head).Score, trace));
        Assert.Contains("demo (first)", ChartOutput.Caption(Charts.HeadMaps(DemoResults.Map, DemoResults.Map, "name_copying")), StringComparison.Ordinal);
        Assert.Contains("no relation", Assert.Throws<ArgumentException>(() => Charts.HeadMaps(DemoResults.Map, weaker, "none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Relations_compare_the_heads_that_lead_them()
    {
        var chart = Json(Charts.RelationComparison(DemoResults.Map, 1));
        var heads = chart.GetProperty("layout").GetProperty("yaxis").GetProperty("ticktext").EnumerateArray().Select(text => Head.Parse(text.GetString()!)).ToArray();
        Assert.Equal(DemoResults.Map.Top(1).Select(score => score.Head).Distinct().Order(), heads);
        Assert.Equal(
            heads.SelectMany(head => DemoResults.Map.Relations.Select(relation => (float?)relation.Of(head).Score)), Cells(chart.GetProperty("data")[0]));
    }

    [Fact]
    public void Models_compare_relation_by_relation()
    {
        var second = HeadMap.Score(DemoResults.Model, [Relations.CountryToCapital, Relations.NameCopying], new HeadMapOptions { FirstMlp = false });
        var chart = Json(Charts.Comparison(DemoResults.Map, second, 0.2));
        var relations = chart.GetProperty("layout").GetProperty("yaxis").GetProperty("ticktext").EnumerateArray().Select(text => text.GetString()!.Replace(' ', '_')).ToArray();
        foreach (var (map, trace) in new[] { DemoResults.Map, second }.Zip(chart.GetProperty("data").EnumerateArray().Skip(1)))
        {
            Assert.Equal(relations.Select(name => map[name].Top(1)[0].Score), trace.GetProperty("x").EnumerateArray().Select(x => x.GetSingle()));
        }

        Assert.Equal(0.2, chart.GetProperty("layout").GetProperty("shapes")[0].GetProperty("x0").GetDouble());
    }

    [Fact]
    public void Static_scores_go_right_and_dynamic_ones_up()
    {
        foreach (var (context, suppression) in new[] { (false, false), (true, false), (false, true) })
        {
            var points = Json(Charts.DynamicStatic(DemoResults.Dynamic, context, suppression)).GetProperty("data").EnumerateArray().First(trace => trace.GetProperty("mode").GetString() == "markers");
            var kind = suppression ? "suppression" : "score";
            var expected = DemoResults.Dynamic.Table.Rows.Select(row => ((float)row[$"static_{kind}"], (float)row[$"{kind}_{(context ? "with" : "without")}_context"])).Distinct().Order();
            Assert.Equal(expected, points.GetProperty("x").EnumerateArray().Zip(points.GetProperty("y").EnumerateArray(), (x, y) => (x.GetSingle(), y.GetSingle())).Order());
        }
    }

    [Fact]
    public void Accuracies_go_down_beside_random_heads_and_controls()
    {
        var data = Json(Charts.Ablation(DemoResults.Ablation)).GetProperty("data").EnumerateArray().ToDictionary(
            trace => trace.TryGetProperty("name", out var name) ? name.GetString()! : "band", trace => trace.GetProperty("y").EnumerateArray().Select(y => Math.Round(y.GetDouble(), 3)).ToArray(), StringComparer.Ordinal);
        Assert.Equal([1, 0.6, 0.2], data["heads of the relation"]);
        Assert.Equal([1, 0.97, 0.935], data["random heads ± SD"]);
        Assert.Equal([0.9, 0.85, 0.88], data["control tasks"]);
        Assert.Equal(6, data["band"].Length);
        var one = Charts.Ablation(DemoResults.Ablation with { RandomRuns = [DemoResults.Ablation.RandomRuns[0]], Controls = [] });
        Assert.Equal(["random heads", "heads of the relation"], Json(one).GetProperty("data").EnumerateArray().Select(trace => trace.GetProperty("name").GetString()));
    }

    [Fact]
    public void Operations_are_a_row_for_each_source_and_a_column_for_each_target()
    {
        var head = new Head(1, 3);
        var cells = Json(Charts.SalientOperations(DemoResults.Operations, head, rows: 4, targets: 2, suppressed: true)).GetProperty("data")[0];
        Assert.Equal(DemoResults.Operations[head].Take(4).SelectMany(operation => operation.Suppressed.Take(2)).Select(target => (float?)target.Logit), Cells(cells));
        Assert.Contains("11 more sources, 3 more tokens", ChartOutput.Caption(Charts.SalientOperations(DemoResults.Operations, head, rows: 4, targets: 2)), StringComparison.Ordinal);
        Assert.DoesNotContain("Not shown", ChartOutput.Caption(Charts.SalientOperations(DemoResults.Operations)), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Charts.SalientOperations(DemoResults.Operations, new Head(3, 3)));
    }

    [Fact]
    public async Task Every_row_of_salient_operations_is_on_paper()
    {
        var svg = System.Xml.Linq.XElement.Parse(await browser.PaperAsync(Charts.SalientOperations(DemoResults.Operations), 84));
        var shown = string.Concat(svg.Descendants().Where(e => e.Name.LocalName == "text").Select(text => text.Value));
        Assert.All(DemoResults.Operations[new Head(0, 5)], operation =>
        {
            Assert.Contains(operation.Text.Trim(), shown, StringComparison.Ordinal);
            Assert.All(operation.Targets, target => Assert.Contains(target.Text.Trim().Split('-')[0], shown, StringComparison.Ordinal));
        });
    }

    [Fact]
    public async Task Hostile_names_are_shown_as_text()
    {
        var shown = string.Join('\n', await browser.TextsAsync(Charts.RelationComparison(DemoResults.HostileMap)));
        Assert.Contains("alert(1)</script> <b>$x$</b> [LAYOUT] %{x}", shown, StringComparison.Ordinal);
    }

    private static JsonElement Json(GenericChart chart) => JsonDocument.Parse(ChartOutput.Json(chart)).RootElement;

    private static IEnumerable<float?> Cells(JsonElement trace) =>
        trace.GetProperty("z").EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(z => z.ValueKind == JsonValueKind.Null ? (float?)null : z.GetSingle());

    private static void AssertCells(Func<Head, float> expected, JsonElement trace) =>
        Assert.Equal(DemoResults.Model.Heads.Select(head => float.IsNaN(expected(head)) ? (float?)null : expected(head)), Cells(trace));
}
