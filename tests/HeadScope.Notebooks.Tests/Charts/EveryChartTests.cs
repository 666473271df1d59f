using Newtonsoft.Json.Linq;
using Plotly.NET;
using Plotly.NET.CSharp;
using Chart = Plotly.NET.CSharp.Chart;

namespace HeadScope.Notebooks.Tests;

/// <summary>What every chart is held to.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class EveryChartTests(ChartBrowser browser)
{
    public static TheoryData<string> All => [.. EveryChart.All.Keys];

    public static TheoryData<string> Usual => [.. EveryChart.OfShape.Keys, .. EveryChart.OfDemo.Keys];

    public static TheoryData<string> OfDemo => [.. EveryChart.OfDemo.Keys];

    [Theory]
    [MemberData(nameof(All))]
    public async Task Plotly_finds_no_fault_and_no_text_becomes_code(string kind)
    {
        var chart = EveryChart.All[kind]();
        Assert.DoesNotContain('<', ChartOutput.Json(chart));
        Assert.DoesNotContain("\"NaN\"", ChartOutput.Json(chart), StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", ChartOutput.Caption(chart), StringComparison.Ordinal);
        Assert.DoesNotContain(": .", ChartOutput.Caption(chart), StringComparison.Ordinal);
        await browser.AcceptsAsync(chart);
        var texts = await browser.TextsAsync(chart);
        Assert.DoesNotContain(texts, text => text.Contains("u003c", StringComparison.Ordinal) || text.Contains("&lt;", StringComparison.Ordinal));
        if (EveryChart.Hostile.ContainsKey(kind))
        {
            Assert.Contains(texts, text => text.Contains("</scr", StringComparison.Ordinal));
        }

        Assert.NotEqual("ran", await browser.Page.GetTitleAsync());
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Charts_are_fresh_can_be_styled_on_and_stand_beside_each_other(string kind)
    {
        var make = EveryChart.All[kind];
        var kept = make();
        var (before, traces) = (ChartOutput.Json(kept), GenericChart.countTrace(kept));
        Assert.Equal(2 * traces, GenericChart.countTrace(Chart.Combine([make(), make()])));

        var grid = Chart.Grid([make(), make()], 1, 2);
        await browser.AcceptsAsync(grid);
        if (JObject.Parse(before)["layout"]!["xaxis2"] is null)
        {
            Assert.Equal([.. Enumerable.Repeat("x", traces), .. Enumerable.Repeat("x2", traces)], JObject.Parse(ChartOutput.Json(grid))["data"]!.Select(trace => (string?)trace["xaxis"] ?? "x"));
        }

        var styled = global::Plotly.NET.Chart.withTitle(PlotlyObject.Title("Another")).Invoke(make()).WithSize(621, 534);
        var layout = JObject.Parse(ChartOutput.Json(styled))["layout"]!;
        Assert.Equal((621, 534), ((int)layout["width"]!, (int)layout["height"]!));
        Assert.Contains("Another", await browser.TextsAsync(styled));
        Assert.Equal(before, ChartOutput.Json(kept));
        Assert.Equal(before, ChartOutput.Json(make()));
    }

    [Theory]
    [MemberData(nameof(Usual))]
    public async Task On_a_screen_no_text_leaves_the_picture_is_cut_or_lies_on_another(string kind) => Assert.Empty(await browser.ScreenFaultsAsync(EveryChart.All[kind]()));

    [Theory]
    [MemberData(nameof(OfDemo))]
    public async Task Those_of_the_demo_model_fit_on_paper(string kind)
    {
        await browser.FitsAsync(EveryChart.OfDemo[kind](), 84);
        await browser.FitsAsync(EveryChart.OfDemo[kind](), 175);
    }
}
