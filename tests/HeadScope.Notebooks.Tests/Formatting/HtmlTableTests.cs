using Microsoft.Data.Analysis;
using PuppeteerSharp;

namespace HeadScope.Notebooks.Tests;

/// <summary>Tables in a real browser: sorted, paged, and safe.</summary>
[Collection(ChartBrowser.Collection)]
public sealed class HtmlTableTests(ChartBrowser browser)
{
    private const string Attack = "</script><img src=x onerror=\"document.title='ran'\">";

    [Fact]
    public async Task A_click_on_the_head_of_a_column_sorts_by_value_and_rows_without_one_come_last()
    {
        await using var page = await ShowAsync(HtmlTable.Of(["name", "value"], [["a", 9.00001], ["b", 10.0], ["c", double.NaN], ["d", 9.00002], ["e", -1.0]]));
        Assert.Equal("abcde", await FirstColumnAsync(page));
        await page.ClickAsync("th:nth-child(2)");
        Assert.Equal("bdaec", await FirstColumnAsync(page));
        await page.ClickAsync("th:nth-child(2)");
        Assert.Equal("eadbc", await FirstColumnAsync(page));
        Assert.Equal("ascending", await page.EvaluateExpressionAsync<string>("document.querySelectorAll('th')[1].getAttribute('aria-sort')"));
    }

    [Fact]
    public async Task Heads_are_sorted_by_layer_and_number()
    {
        await using var page = await ShowAsync(HtmlTable.Of(["head"], [[new Head(3, 10)], [new Head(10, 1)], [new Head(3, 9)]]));
        await page.ClickAsync("th");
        Assert.Equal("10.13.103.9", await FirstColumnAsync(page));
    }

    [Fact]
    public async Task A_long_table_turns_pages_and_says_how_many_rows_there_are()
    {
        var table = new DataFrame(new Int32DataFrameColumn("row_number", Enumerable.Range(0, HtmlTable.MostRows + 60)));
        await using var page = await ShowAsync(HtmlTable.Of(table));
        string Note(string rows) => $"rows {rows} of 20,060; 20,000 can be seen here";
        Assert.Equal("row number", await page.EvaluateExpressionAsync<string>("document.querySelector('th').textContent"));
        Assert.StartsWith(Note("1 to 25"), await NoteAsync(page), StringComparison.Ordinal);
        await page.ClickAsync("button[title='next page']");
        Assert.StartsWith(Note("26 to 50"), await NoteAsync(page), StringComparison.Ordinal);
        Assert.StartsWith("2526", await FirstColumnAsync(page), StringComparison.Ordinal);
        await page.ClickAsync("th");
        Assert.StartsWith("19,999", await FirstColumnAsync(page), StringComparison.Ordinal);
        Assert.StartsWith(Note("1 to 25"), await NoteAsync(page), StringComparison.Ordinal);
        await page.ClickAsync("button[title='page before']");
        Assert.StartsWith(Note("1 to 25"), await NoteAsync(page), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tokens_show_their_spaces_and_run_nothing()
    {
        await using var page = await ShowAsync(HtmlTable.Of(["token", Attack], [[" the", "x"], ["a b ", Attack], ["\n", "\u202Ey"], ["  ", "\uD800"]]));
        await page.ClickAsync("th");
        Assert.Equal(new HashSet<string>(StringComparer.Ordinal) { "·the", "a b·", "↵", "··" }, (await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('td:first-child')].map(c => c.textContent)")).ToHashSet(StringComparer.Ordinal));
        Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('img').length"));
        Assert.Equal("", await page.GetTitleAsync());
    }

    [Fact]
    public void Without_scripts_the_first_page_is_there()
    {
        var html = HtmlTable.Of(["n"], [.. Enumerable.Range(0, 60).Select(i => (IReadOnlyList<object?>)[i])]);
        Assert.Equal(HtmlTable.PageRows + 1, System.Text.RegularExpressions.Regex.Count(html, "<tr>"));
        Assert.Contains("rows 1 to 25 of 60", html, StringComparison.Ordinal);
    }

    [Fact]
    public void As_plain_text_columns_stand_under_each_other_with_few_digits()
    {
        var table = new Microsoft.Data.Analysis.DataFrame(
            new Microsoft.Data.Analysis.StringDataFrameColumn("the_token", [" the", "a\nb"]), new Microsoft.Data.Analysis.DoubleDataFrameColumn("score", [12.428708383015223, 3]));
        Assert.Equal("the token  score\n·the       12.43\na↵b            3", HtmlTable.Plain(table));
    }

    private static async Task<string> FirstColumnAsync(IPage page) =>
        string.Concat(await page.EvaluateExpressionAsync<string[]>("[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent)"));

    private static async Task<string> NoteAsync(IPage page) => await page.EvaluateExpressionAsync<string>("document.querySelector('p').textContent");

    private async Task<IPage> ShowAsync(string html)
    {
        var page = await browser.Page.Browser.NewPageAsync();
        await page.SetContentAsync($"<!doctype html><meta charset=\"utf-8\"><body>{html}</body>");
        return page;
    }
}
