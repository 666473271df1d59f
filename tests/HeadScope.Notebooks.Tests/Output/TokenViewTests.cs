using Microsoft.DotNet.Interactive.Formatting;
using PuppeteerSharp;
using PuppeteerSharp.Media;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Tokens that show their row, in a real browser.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class TokenViewTests(ChartBrowser browser)
{
    private static readonly string[] Words = ["When", " Mary", " and", " John"];

    private static ZPattern Pattern(IReadOnlyList<string> tokens) => new(
        7, [.. tokens.Select((_, i) => i)], tokens, (arange(tokens.Count).to(float32).unsqueeze(1) - arange(tokens.Count).to(float32).mul(2)).tril(), eye(tokens.Count),
        arange(tokens.Count).to(float32), arange(tokens.Count).to(float32));

    [Fact]
    public async Task The_token_under_the_pointer_colours_all_by_its_row()
    {
        // Rows: 0 | 1 -1 | 2 0 -2 | 3 1 -1 -3.
        await using var page = await ShowAsync(TokenView.Of(Pattern(Words)).ToHtml());
        Assert.Equal(Fills(3, 1, -1, -3), await FillsAsync(page));
        await page.HoverAsync("[role=option]:nth-of-type(2)");
        Assert.Equal(Fills(1, -1, 0, 0), await FillsAsync(page));
        Assert.Equal(["1", "1", "0.45", "0.45"], await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('[role=option]')].map(t => t.style.opacity)"));
        Assert.Equal("·Mary (1) gathers most from When (0) 1, ·Mary (1) -1", await NoteAsync(page));
        Assert.Equal("When (0): contribution to z 1", await page.EvaluateExpressionAsync<string>("document.querySelector('[role=option]').title"));
        await page.Mouse.MoveAsync(500, 500);
        Assert.Equal(Fills(3, 1, -1, -3), await FillsAsync(page));

        string[] Fills(params double[] values) => [.. values.Select(value => Rgb(ChartStyle.At(ChartStyle.Diverging, (value + 3) / 6).Fill))];
    }

    [Fact]
    public async Task The_keyboard_does_the_same_and_stays()
    {
        await using var page = await ShowAsync(TokenView.Of(Pattern(Words)).ToHtml());
        await page.Keyboard.PressAsync("Tab");
        Assert.StartsWith("·John (3)", await NoteAsync(page), StringComparison.Ordinal);
        await page.Keyboard.PressAsync("ArrowLeft");
        Assert.Equal("·and (2) gathers most from When (0) 2, ·and (2) -2", await NoteAsync(page));
        await page.Keyboard.PressAsync("Home");
        Assert.Equal("When (0) gathers most from nothing", await NoteAsync(page));
        await page.HoverAsync("[role=option]:nth-of-type(4)");
        await page.Mouse.MoveAsync(500, 500);
        Assert.StartsWith("When (0)", await NoteAsync(page), StringComparison.Ordinal);
        Assert.Equal(["true", "false", "false", "false"], await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('[role=option]')].map(t => t.getAttribute('aria-selected'))"));
        Assert.Equal(1, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('[role=option][tabindex=\"0\"]').length"));
    }

    [Fact]
    public async Task A_head_is_chosen_by_its_name()
    {
        var patterns = zeros(1, 3, 4, 4);
        patterns[0, 0, 3, 0] = 0.5f;
        patterns[0, 2, 3, 1] = 1;
        await using var page = await ShowAsync(TokenView.Of(patterns, Words, 5).ToHtml());
        Assert.Equal(["5.0", "5.1", "5.2"], await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('button')].map(b => b.textContent)"));
        Assert.Equal("head 5.0: ·John (3) attends most to When (0) 0.5", await NoteAsync(page));
        Assert.Equal(Rgb(ChartStyle.At(ChartStyle.Sequential, 0.5).Fill), (await FillsAsync(page))[0]);
        await page.HoverAsync("button:nth-of-type(3)");
        Assert.Equal("head 5.2: ·John (3) attends most to ·Mary (1) 1", await NoteAsync(page));
        await page.Mouse.MoveAsync(500, 500);
        Assert.StartsWith("head 5.0", await NoteAsync(page), StringComparison.Ordinal);
        await page.ClickAsync("button:nth-of-type(3)");
        await page.Mouse.MoveAsync(500, 500);
        Assert.StartsWith("head 5.2", await NoteAsync(page), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hostile_tokens_are_text_and_run_nothing()
    {
        var view = TokenView.Of(Pattern(HostileText.Tokens));
        await using var page = await ShowAsync(view.ToHtml());
        Assert.Equal(HostileText.Seen, await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('[role=option]')].map(t => t.textContent)"));
        for (var i = 1; i <= HostileText.Tokens.Length; i++)
        {
            await page.HoverAsync($"[role=option]:nth-of-type({i})");
        }

        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('img, [role=option] *').length"));
        Assert.Equal("", await page.GetTitleAsync());

        // No attack on the words around either, and the caption as the name of the whole.
        var hostile = TokenView.Of(Pattern(["a", "\"><img src=x onerror=document.title='ran'>"]));
        await using var other = await ShowAsync(hostile.ToHtml());
        Assert.Equal("", await other.GetTitleAsync());
        Assert.Equal(0, await other.EvaluateExpressionAsync<int>("document.querySelectorAll('img').length"));
        Assert.Equal(hostile.Caption, await other.EvaluateExpressionAsync<string>("document.querySelector('[role=group]').getAttribute('aria-label')"));
    }

    [Fact]
    public async Task Marks_of_direction_and_other_scripts_do_not_turn_the_line()
    {
        await using var page = await ShowAsync(TokenView.Of(Pattern(["\u05D0\u05D1", " \u05D2", " a", "\u202E b"])).ToHtml());
        var lefts = await page.EvaluateExpressionAsync<double[]>("[...document.querySelectorAll('[role=option]')].map(t => t.getBoundingClientRect().left)");
        Assert.Equal(lefts.Order(), lefts);
    }

    [Fact]
    public async Task A_dark_page_has_dark_colours()
    {
        await using var page = await browser.Page.Browser.NewPageAsync();
        await page.EmulateMediaFeaturesAsync([new MediaFeatureValue { MediaFeature = MediaFeature.PrefersColorScheme, Value = "dark" }]);
        await page.SetContentAsync(Page(TokenView.Of(Pattern(Words)).ToHtml()));
        Assert.Equal(Rgb(ChartStyle.DarkColors[ChartStyle.At(ChartStyle.Diverging, 1).Fill]), (await FillsAsync(page))[0]);
        await page.EvaluateExpressionAsync("document.body.setAttribute('data-jp-theme-light', 'true')");
        await page.SetContentAsync(Page(TokenView.Of(Pattern(Words)).ToHtml()).Replace("<body>", "<body data-jp-theme-light=\"true\">", StringComparison.Ordinal));
        Assert.Equal(Rgb(ChartStyle.At(ChartStyle.Diverging, 1).Fill), (await FillsAsync(page))[0]);
    }

    [Fact]
    public async Task The_same_view_twice_and_another_live_side_by_side()
    {
        var (one, two) = (TokenView.Of(Pattern(Words)).ToHtml(), TokenView.Of(Pattern(["x", " y", " z"])).ToHtml());
        await using var page = await ShowAsync(one + two + one);
        Assert.Equal(3, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('[data-ready]').length"));
        await page.HoverAsync("[role=group]:nth-of-type(3) [role=option]:nth-of-type(2)");
        var notes = await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('[aria-live]')].map(n => n.textContent.split(' ')[0])");
        Assert.Equal(["·John", "·z", "·Mary"], notes);
    }

    [Fact]
    public async Task Without_scripts_the_first_row_and_the_scale_are_seen()
    {
        await using var page = await browser.Page.Browser.NewPageAsync();
        await page.SetJavaScriptEnabledAsync(false);
        await page.SetContentAsync(Page(TokenView.Of(Pattern(Words)).ToHtml()));
        await page.SetJavaScriptEnabledAsync(true);
        Assert.Equal(Rgb(ChartStyle.At(ChartStyle.Diverging, 1).Fill), (await FillsAsync(page))[0]);
        Assert.Contains("-3", await page.EvaluateExpressionAsync<string>("document.body.innerText"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_shows_itself_in_a_cell_and_saves_itself_as_a_page()
    {
        HeadScopeFormatters.Register();
        var view = TokenView.Of(Pattern(Words));
        Assert.Equal(["text/html"], Formatter.GetPreferredMimeTypesFor(typeof(TokenView)));
        Assert.Equal(view.ToHtml(), view.ToDisplayString("text/html"));
        Assert.Equal("Lorsa head 7: what it gathers at each of 4 tokens. It is most active at ' John' (position 3), where z = 3, most of it 3 from 'When' (position 0).", view.ToDisplayString("text/plain"));

        var folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;
        try
        {
            var path = Path.Combine(folder, "view.html");
            view.Save(path);
            await using var page = await browser.Page.Browser.NewPageAsync();
            await page.GoToAsync(new Uri(path).AbsoluteUri);
            await page.HoverAsync("[role=option]:nth-of-type(3)");
            Assert.StartsWith("·and (2)", await NoteAsync(page), StringComparison.Ordinal);
            Assert.Equal("view", await page.GetTitleAsync());
            Assert.Contains(".html", Assert.Throws<ArgumentException>(() => view.Save(Path.Combine(folder, "view.pdf"))).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Patterns_of_another_shape_and_heads_that_are_not_there_are_refused()
    {
        Assert.Throws<ArgumentException>(() => TokenView.Of(zeros(4, 4), Words, 0));
        Assert.Throws<ArgumentException>(() => TokenView.Of(zeros(2, 3, 3), Words, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => TokenView.Of(zeros(2, 4, 4), Words, 0, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => TokenView.Of(zeros(2, 4, 4), Words, -1));
    }

    private static string Rgb(string hex) => Convert.FromHexString(hex.AsSpan(1)) is [var r, var g, var b] ? $"rgb({r}, {g}, {b})" : "";

    private static async Task<string[]> FillsAsync(IPage page) => await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('[role=option]')].map(t => t.style.backgroundColor)");

    private static async Task<string> NoteAsync(IPage page) => await page.EvaluateExpressionAsync<string>("document.querySelector('[aria-live]').textContent");

    private static string Page(string html) => $"<!doctype html><meta charset=\"utf-8\"><body>{html}</body>";

    private async Task<IPage> ShowAsync(string html)
    {
        var page = await browser.Page.Browser.NewPageAsync();
        await page.SetContentAsync(Page(html));
        return page;
    }
}
