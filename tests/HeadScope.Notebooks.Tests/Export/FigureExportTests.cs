using System.Text;
using System.Text.Json;
using System.Xml.Linq;
using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Tests;

[Collection(InBrowser.Name)]
public sealed class FigureExportTests(PlotlyBrowser plotly) : IDisposable
{
    private static readonly Figure Map = new(
        [new HeatMap { Z = new Grid(2, 3, [0, 0.5f, 1, float.NaN, 0.25f, 0.75f]), ZMin = 0, ZMax = 1, ColorScale = ColorScale.Sequential, XGap = 1, YGap = 1 }],
        new Layout { Title = "A map", Axes = new Dictionary<string, Axis>(StringComparer.Ordinal) { ["x"] = new() { Title = "head" }, ["y"] = new() { AutoRange = "reversed" } } },
        "A map of six cells.");

    /// <summary>Waits until plotly.js has taken the place of every drawing; gives up after half a minute.</summary>
    private const string Drawn =
        "(async () => { for (let i = 0; i < 300 && document.querySelector('svg[role=img]'); i++) await new Promise(r => setTimeout(r, 100)); })()";

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task An_svg_has_its_size_in_millimetres_text_as_text_and_cells_as_rectangles()
    {
        plotly.Get();
        var path = Path.Combine(folder, "map.svg");
        await Map.SaveAsync(path, width: 85, height: 60, unit: LengthUnit.Millimetres, cancellationToken: TestContext.Current.CancellationToken);
        var svg = XElement.Load(path);
        Assert.Equal("85mm", (string?)svg.Attribute("width"));
        Assert.Equal("60mm", (string?)svg.Attribute("height"));
        Assert.Contains(svg.Descendants(), e => e.Name.LocalName == "text" && e.Value == "A map");
        var cells = svg.Descendants().Single(e => (string?)e.Attribute("class") == "hm").Descendants().Where(e => e.Name.LocalName == "rect").ToList();
        Assert.Equal(5, cells.Count);
        Assert.Equal(ColorScale.Sequential.Hex(1), (string?)cells[2].Attribute("fill"));
    }

    [Fact]
    public async Task An_svg_carries_the_letters_that_it_needs()
    {
        var browser = plotly.Get();
        var path = Path.Combine(folder, "map.svg");
        await Map.SaveAsync(path, cancellationToken: TestContext.Current.CancellationToken);
        var style = XElement.Load(path).Descendants().First(e => e.Name.LocalName == "style" && e.Value.Contains("@font-face", StringComparison.Ordinal)).Value;
        Assert.InRange(style.Length, 1000, 120_000);

        // Under a name that no installed font has, the browser takes the embedded one, and it draws letters as wide as the original.
        var widths = await browser.EvaluateAsync(
            $$"""
            (async () => {
              const style = document.createElement('style');
              style.textContent = {{JsonSerializer.Serialize(System.Text.RegularExpressions.Regex.Replace(style, "font-family:[^;]*;", "font-family:'only embedded';"))}};
              document.head.appendChild(style);
              await document.fonts.load('40px "only embedded"', 'A map');
              const pen = document.createElement('canvas').getContext('2d');
              const width = family => { pen.font = '40px ' + family; return pen.measureText('A map').width; };
              const answer = [document.fonts.check('40px "only embedded"'), width('"only embedded", monospace'), width("{{FigureStyle.SansSerif}}"), width('monospace')];
              style.remove();
              return answer;
            })()
            """,
            TestContext.Current.CancellationToken);
        Assert.True(widths![0]!.GetValue<bool>());
        Assert.Equal(widths[2]!.GetValue<double>(), widths[1]!.GetValue<double>(), 0.01);
        Assert.NotEqual(widths[3]!.GetValue<double>(), widths[1]!.GetValue<double>(), 0.01);
    }

    [Fact]
    public async Task A_pdf_is_one_sheet_of_exactly_that_size_with_fonts_and_text()
    {
        plotly.Get();
        var path = Path.Combine(folder, "map.pdf");
        await Map.SaveAsync(path, width: 85, height: 60, unit: LengthUnit.Millimetres, cancellationToken: TestContext.Current.CancellationToken);
        var pdf = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken));
        Assert.StartsWith("%PDF-", pdf, StringComparison.Ordinal);
        Assert.Contains("/Count 1", pdf, StringComparison.Ordinal);
        Assert.Contains("/FontFile", pdf, StringComparison.Ordinal);
        var box = System.Text.RegularExpressions.Regex.Match(pdf, @"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]");
        Assert.InRange(double.Parse(box.Groups[1].Value), (85 / 25.4 * 72) - 0.25, (85 / 25.4 * 72) + 0.25);
        Assert.InRange(double.Parse(box.Groups[2].Value), (60 / 25.4 * 72) - 0.25, (60 / 25.4 * 72) + 0.25);
    }

    [Fact]
    public async Task A_png_has_scale_times_as_many_dots()
    {
        plotly.Get();
        var path = Path.Combine(folder, "map.png");
        await Map.SaveAsync(path, width: 300, height: 200, scale: 2, cancellationToken: TestContext.Current.CancellationToken);
        var png = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        Assert.Equal("\u0089PNG", Encoding.Latin1.GetString(png, 0, 4));
        Assert.Equal(600, (png[18] << 8) + png[19]);
        Assert.Equal(400, (png[22] << 8) + png[23]);
    }

    [Fact]
    public void Json_and_html_need_neither_browser_nor_plotly()
    {
        Map.Save(Path.Combine(folder, "map.json"), width: 500);
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "map.json")));
        Assert.Equal(500, json.RootElement.GetProperty("layout").GetProperty("width").GetDouble());
        Map.Save(Path.Combine(folder, "map.html"));
        var html = File.ReadAllText(Path.Combine(folder, "map.html"));
        Assert.Contains(PlotlyScript.Integrity, html, StringComparison.Ordinal);
        Assert.Contains("<svg", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("map.gif", 1.0)]
    [InlineData("map.svg", 0.0)]
    [InlineData("map.svg", double.NaN)]
    public void Other_endings_and_sizes_are_refused(string name, double width) =>
        Assert.Throws<ArgumentException>(() => Map.Save(Path.Combine(folder, name), width: width));

    [Fact]
    public async Task A_page_draws_itself_with_plotly_inside_and_keeps_its_drawing_without()
    {
        var browser = plotly.Get();
        var (with, without) = (Path.Combine(folder, "with.html"), Path.Combine(folder, "without.html"));
        await File.WriteAllTextAsync(with, HtmlPage.Of("</script><b>", [Map, Map], PlotlyScript.Find()), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(without, HtmlPage.Of("A map", [Map]).Replace(PlotlyScript.Address, "file:///nowhere.js", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await using var own = await HeadlessBrowser.StartAsync(TestContext.Current.CancellationToken);
        await own.OpenAsync(with, TestContext.Current.CancellationToken);
        await own.EvaluateAsync(Drawn, TestContext.Current.CancellationToken);
        var plots = await own.EvaluateAsync("document.querySelectorAll('.js-plotly-plot').length", TestContext.Current.CancellationToken);
        Assert.Equal(2, plots!.GetValue<int>());
        var stills = await own.EvaluateAsync("document.querySelectorAll('svg[role=img]').length", TestContext.Current.CancellationToken);
        Assert.Equal(0, stills!.GetValue<int>());
        await own.OpenAsync(without, TestContext.Current.CancellationToken);
        await own.EvaluateAsync("new Promise(r => setTimeout(r, 500))", TestContext.Current.CancellationToken);
        stills = await own.EvaluateAsync("document.querySelectorAll('svg[role=img]').length", TestContext.Current.CancellationToken);
        Assert.Equal(1, stills!.GetValue<int>());
        Assert.NotNull(browser);
    }

    [Fact]
    public async Task The_list_on_a_page_chooses_the_view_with_and_without_plotly()
    {
        plotly.Get();
        var three = Map with
        {
            Traces = [Map.Traces[0], Map.Traces[0], Map.Traces[0]],
            Choices = [new Choice("a", [true, false, false]), new Choice("b", [false, true, false]), new Choice("c", [false, false, true])],
        };
        var (with, without) = (Path.Combine(folder, "with.html"), Path.Combine(folder, "without.html"));
        await File.WriteAllTextAsync(with, HtmlPage.Of("x", [three], PlotlyScript.Find()), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(without, HtmlPage.Of("x", [three]).Replace(PlotlyScript.Address, "file:///nowhere.js", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await using var own = await HeadlessBrowser.StartAsync(TestContext.Current.CancellationToken);
        const string ChooseLast = "(() => { const s = document.querySelector('select'); s.selectedIndex = 2; s.dispatchEvent(new Event('change')); })()";
        await own.OpenAsync(with, TestContext.Current.CancellationToken);
        await own.EvaluateAsync(Drawn, TestContext.Current.CancellationToken);
        await own.EvaluateAsync(ChooseLast, TestContext.Current.CancellationToken);
        var visible = await own.EvaluateAsync("document.querySelector('.js-plotly-plot').data.map(t => t.visible === true)", TestContext.Current.CancellationToken);
        Assert.Equal("[false,false,true]", visible!.ToJsonString());
        await own.OpenAsync(without, TestContext.Current.CancellationToken);
        await own.EvaluateAsync(ChooseLast, TestContext.Current.CancellationToken);
        var hidden = await own.EvaluateAsync("[...document.querySelectorAll('[data-choice]')].map(d => d.hidden)", TestContext.Current.CancellationToken);
        Assert.Equal("[true,true,false]", hidden!.ToJsonString());
    }
}
