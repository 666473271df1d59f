using System.Text;
using System.Text.Json;
using Plotly.NET;
using PuppeteerSharp;
using PuppeteerSharp.Media;
using static HeadScope.PlotlyObject;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Charts as pages and outputs of cells, in a real browser without a network.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class ChartOutputTests(ChartBrowser browser) : IAsyncLifetime
{
    private const string Origin = "http://notebook.test/";

    // Characters that no shape of their own have, ends of scripts, HTML and LaTeX as plotly.js reads them, and what Plotly.NET's templates replace.
    private const string Hostile =
        "\uD800 \u202Eevil\u202C </script><script>window.ran=1</script> <img src=x onerror=window.ran=2> <b>bold</b> $x^2$ %{y} [LAYOUT] [DATA] &lt;i&gt; \U0001F600\n\u2028 <a href=\"javascript:window.ran=3\">link</a> '\"`${alert(1)}";

    private static readonly string Shown = PlotlyText.Escape(Hostile);

    private readonly List<string> asked = [];
    private readonly List<string> dialogs = [];
    private IPage? page;
    private string served = "";

    public async ValueTask InitializeAsync()
    {
        if (PaperBrowser.Find() is null)
        {
            return;
        }

        page = await browser.Page.Browser.NewPageAsync();
        page.Dialog += async (_, e) =>
        {
            dialogs.Add(e.Dialog.Message);
            await e.Dialog.Dismiss();
        };
        await page.SetRequestInterceptionAsync(true);
        page.Request += async (_, e) =>
        {
            if (e.Request.Url.StartsWith(Origin, StringComparison.Ordinal))
            {
                await e.Request.RespondAsync(new ResponseData { ContentType = "text/html; charset=utf-8", BodyData = Encoding.UTF8.GetBytes(served) });
                return;
            }

            if (e.Request.Url.StartsWith("data:", StringComparison.Ordinal))
            {
                await e.Request.ContinueAsync();
                return;
            }

            asked.Add(e.Request.Url);
            await e.Request.AbortAsync();
        };
    }

    public async ValueTask DisposeAsync()
    {
        await (page?.CloseAsync() ?? Task.CompletedTask);
    }

    [Fact]
    public async Task A_page_draws_its_charts_without_a_network()
    {
        await ShowAsync(ChartOutput.Page("Two <maps>", [Grid("a"), Grid("b")]), drawn: 2);
        Assert.Equal("Two <maps>", await page!.GetTitleAsync());
        Assert.Empty(asked);
    }

    [Fact]
    public async Task An_output_that_carries_plotly_serves_outputs_before_it_and_notebooks_opened_later()
    {
        await ShowAsync("<body></body>", drawn: 0);
        await page!.EvaluateExpressionAsync("localStorage.clear()");

        // The later cell's output is rendered first, as notebooks do that render what is in view.
        await ShowAsync($"<meta charset=utf-8><body>{ChartOutput.Fragment(Grid("later"))}</body>", drawn: 0);
        await page.WaitForFunctionAsync("() => document.body.innerText.includes('Run the cell again')");
        Assert.Contains("later: effect of 3 × 4 heads", await TextAsync(), StringComparison.Ordinal);
        Assert.Single(asked);
        Assert.StartsWith("https://cdn.plot.ly/plotly-2.28", asked[0], StringComparison.Ordinal);
        await AppendAsync(ChartOutput.Carrier + ChartOutput.Fragment(Grid("first")));
        await DrawnAsync(2);

        asked.Clear();
        await ShowAsync($"<meta charset=utf-8><body>{ChartOutput.Fragment(Grid("another notebook"))}</body>", drawn: 1);
        Assert.Empty(asked);
        await page.EvaluateExpressionAsync("localStorage.clear()");
    }

    [Fact]
    public async Task A_copy_that_is_damaged_is_forgotten()
    {
        await ShowAsync("<body></body>", drawn: 0);
        await page!.EvaluateFunctionAsync("version => localStorage.setItem('headscope-plotly-' + version, 'H4sIAAAA')", Globals.PLOTLYJS_VERSION);
        await ShowAsync($"<meta charset=utf-8><body>{ChartOutput.Fragment(Grid("x"))}</body>", drawn: 0);
        await page.WaitForFunctionAsync("() => document.body.innerText.includes('Run the cell again')");
        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("localStorage.length"));
    }

    [Fact]
    public async Task A_module_loader_in_the_page_does_not_take_plotly() =>
        await ShowAsync($"<meta charset=utf-8><script>var define = function () {{ throw 1; }}; define.amd = {{}};</script><body>{ChartOutput.Carrier}{ChartOutput.Fragment(Grid("x"))}</body>", drawn: 1);

    [Fact]
    public void Only_the_first_output_of_a_process_carries_plotly_and_none_where_a_page_does()
    {
        var outputs = Enumerable.Range(0, 3).Select(i => ChartOutput.CellOutput(Grid($"{i}"))).ToList();
        Assert.All(outputs.Skip(1), output => Assert.InRange(output.Length, 1000, 40_000));
        Assert.InRange(ChartOutput.Carrier.Length, 1_000_000, 1_700_000);
    }

    [Fact]
    public async Task A_caption_is_there_for_those_who_cannot_see_the_chart()
    {
        await ShowAsync(ChartOutput.Page("x", [Grid(Hostile)]), drawn: 1);
        var label = await page!.EvaluateExpressionAsync<string>("document.querySelector('[role=img]').getAttribute('aria-label')");
        Assert.Equal(ChartOutput.Caption(Grid(Hostile)).Replace("\r", "", StringComparison.Ordinal), label);
        Assert.Equal("A title of a user", ChartOutput.Caption(Of(new { title = Title("A <b>title</b> of a user") }, Scatter(new { y = new[] { 1 } }))).Replace("  ", " ", StringComparison.Ordinal));
        Assert.Equal("Chart of 1 traces", ChartOutput.Caption(Of(new { }, Scatter(new { y = new[] { 1 } }))));
    }

    [Theory]
    [InlineData("prefers")]
    [InlineData("jupyter")]
    [InlineData("vscode")]
    [InlineData("none")]
    public async Task Charts_follow_a_dark_theme(string theme)
    {
        Require();
        await page!.EmulateMediaFeaturesAsync([new MediaFeatureValue { MediaFeature = MediaFeature.PrefersColorScheme, Value = theme == "prefers" ? "dark" : "light" }]);
        var body = theme switch { "jupyter" => "<body data-jp-theme-light=false>", "vscode" => "<body data-vscode-theme-kind=vscode-dark>", _ => "<body>" };
        var own = Of(new { title = new { text = "#1f2328" }, font = new { color = "#1f2328" } }, Scatter(new { y = new[] { 1, 2 }, marker = new { color = ChartStyle.Palette[0] } }));
        await ShowAsync($"<meta charset=utf-8>{body}{ChartOutput.Carrier}{ChartOutput.Fragment(Grid("x"))}{ChartOutput.Fragment(own)}</body>", drawn: 2);
        var papers = await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('.js-plotly-plot')].map(plot => plot._fullLayout.paper_bgcolor + ' ' + plot._fullLayout.font.color)");
        Assert.Equal(theme == "none" ? "#ffffff #1f2328" : $"{ChartStyle.DarkColors["#ffffff"]} {ChartStyle.DarkColors["#1f2328"]}", papers[0]);
        Assert.EndsWith(" #1f2328", papers[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hostile_texts_are_shown_as_text()
    {
        var chart = Of(
            new { title = new { text = Shown }, xaxis = new { title = new { text = Shown }, tickvals = new[] { 0, 1 }, ticktext = new[] { Shown, "b" } }, annotations = new[] { new { text = Shown, x = 0, y = 1 } } },
            Scatter(new { y = new[] { 1, 2 }, name = Shown, hovertemplate = Shown }),
            Scatter(new { y = new[] { 2, 1 }, name = "b" }));
        await ShowAsync(ChartOutput.Page(Hostile, [chart, Grid(Hostile)]), drawn: 2);
        var texts = await page!.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('text')].map(text => text.textContent)");
        var plain = Plain(Shown);
        foreach (var expected in new[] { "</script><script>window.ran=1</script>", "<img src=x onerror=window.ran=2>", "<b>bold</b>", "$x^2$", "[LAYOUT] [DATA]", "&lt;i&gt;", "⟨U+D800⟩", "⟨U+202E⟩", "\U0001F600↵" })
        {
            Assert.Contains(expected, plain, StringComparison.Ordinal);
        }

        Assert.True(texts.Count(text => string.Equals(text, plain, StringComparison.Ordinal)) >= 4, string.Join('\n', texts));
        await QuietAsync();
    }

    [Fact]
    public async Task Hostile_texts_in_charts_of_users_run_nothing()
    {
        var chart = Of(
            new { title = new { text = Hostile }, xaxis = new { title = new { text = Hostile } }, annotations = new[] { new { text = Hostile, x = 0, y = 1 } } },
            Bar(new { x = new[] { Hostile, "b" }, y = new[] { 1, 2 }, name = Hostile, text = new[] { Hostile, "" }, hovertemplate = Hostile }),
            Bar(new { x = new[] { Hostile, "b" }, y = new[] { 2, 1 }, name = "\u0000\u0001\uFFFE" }));
        await ShowAsync(ChartOutput.Page("x", [chart]), drawn: 1);
        await page!.Mouse.MoveAsync(300, 300);
        await QuietAsync();
        using var json = JsonDocument.Parse(ChartOutput.Json(chart));
        Assert.DoesNotContain("</", ChartOutput.Json(chart), StringComparison.Ordinal);
        Assert.Equal("svg", System.Xml.Linq.XElement.Parse(await browser.PaperAsync(chart, 120)).Name.LocalName);
    }

    private static string Plain(string escaped) => System.Net.WebUtility.HtmlDecode(escaped);

    private static GenericChart Grid(string title) => Charts.HeadGrid(arange(12, float32).reshape(3, 4), title, "effect");

    private static GenericChart Of(object layout, params Trace[] traces) =>
        GenericChart.setLayout(new Layout().With(layout), GenericChart.ofTraceObjects(true, Microsoft.FSharp.Collections.ListModule.OfSeq(traces)));

    private static void Require() => ChartBrowser.Require();

    private async Task ShowAsync(string html, int drawn)
    {
        Require();
        served = html;
        await page!.GoToAsync(Origin);
        await DrawnAsync(drawn);
    }

    private async Task DrawnAsync(int drawn) =>
        await page!.WaitForFunctionAsync("count => document.querySelectorAll('.js-plotly-plot .main-svg').length >= 2 * count", new WaitForFunctionOptions { Timeout = 60_000 }, drawn);

    // As notebooks do it: scripts of HTML that is put into a page run when they are made anew.
    private async Task AppendAsync(string html) => await page!.EvaluateFunctionAsync(
        """
        html => {
          const output = document.body.appendChild(document.createElement('div'));
          output.innerHTML = html;
          output.querySelectorAll('script:not([type])').forEach(old => { const script = document.createElement('script'); script.textContent = old.textContent; old.replaceWith(script); });
        }
        """,
        html);

    private async Task<string> TextAsync() => await page!.EvaluateExpressionAsync<string>("document.body.innerText");

    // Whatever was to run has had its time.
    private async Task QuietAsync()
    {
        await page!.EvaluateExpressionAsync("new Promise(done => setTimeout(done, 300))");
        Assert.Null(await page.EvaluateExpressionAsync<object?>("window.ran ?? null"));
        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('img, a[href^=javascript], [onerror]').length"));
        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("[...document.querySelectorAll('a')].filter(a => /^javascript/.test(a.getAttribute('xlink:href') || '')).length"));
        Assert.Empty(dialogs);
        Assert.Empty(asked);
    }
}
