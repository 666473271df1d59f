using System.Text.RegularExpressions;
using System.Xml.Linq;
using HeadScope.Notebooks.Running;
using HeadScope.Notebooks.Running.Mathematics;

namespace HeadScope.Notebooks.Tests;

[Collection(ChartBrowser.Collection)]
public class MathMlTests(ChartBrowser charts)
{
    [Theory]
    [InlineData("x", "<mi>x</mi>")]
    [InlineData("0.9x", "<mrow><mn>0.9</mn><mi>x</mi></mrow>")]
    [InlineData("W_V^h", "<msubsup><mi>W</mi><mi>V</mi><mi>h</mi></msubsup>")]
    [InlineData("x^h_i", "<msubsup><mi>x</mi><mi>i</mi><mi>h</mi></msubsup>")]
    [InlineData("E'", "<msup><mi>E</mi><mo>′</mo></msup>")]
    [InlineData("\\tilde x_i", "<msub><mover accent=\"true\"><mi>x</mi><mo stretchy=\"false\">~</mo></mover><mi>i</mi></msub>")]
    [InlineData("\\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>")]
    [InlineData("\\sqrt{s}", "<msqrt><mrow><mi>s</mi></mrow></msqrt>")]
    [InlineData("\\sqrt[3]{s}", "<mroot><mrow><mi>s</mi></mrow><mn>3</mn></mroot>")]
    [InlineData("\\mathbb{R}", "<mi>ℝ</mi>")]
    [InlineData("\\mathbb{1}", "<mi>𝟙</mi>")]
    [InlineData("\\mathrm{mlp}_0", "<msub><mi>mlp</mi><mn>0</mn></msub>")]
    [InlineData("\\text{a b}", "<mtext>a\u00A0b</mtext>")]
    [InlineData("\\sum_i^n", "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>")]
    [InlineData("\\Omega", "<mi mathvariant=\"normal\">Ω</mi>")]
    [InlineData("a \\le b", "<mrow><mi>a</mi><mo>≤</mo><mi>b</mi></mrow>")]
    [InlineData("\\left[x\\right.", "<mrow><mo form=\"prefix\" fence=\"true\" stretchy=\"true\">[</mo><mi>x</mi></mrow>")]
    [InlineData("a<b", "<mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow>")]
    public void Equations_become_the_elements_that_mean_them(string latex, string expected) =>
        Assert.Equal(expected, Assert.Single(MathMl.From(latex, display: false).Elements()).ToString(SaveOptions.DisableFormatting));

    [Fact]
    public void A_minus_is_a_sign_where_there_is_nothing_to_subtract_from()
    {
        static string? Form(string latex) => (string?)MathMl.From(latex, display: false).Descendants("mo").Single(mo => mo.Value == "−").Attribute("form");
        Assert.Equal("prefix", Form("-x"));
        Assert.Equal("prefix", Form("(-x)"));
        Assert.Equal("prefix", Form("a = -x"));
        Assert.Null(Form("a - x"));
        Assert.Null(Form("(a) - x"));
    }

    [Fact]
    public void Lines_have_rows_and_columns()
    {
        var table = MathMl.From("\\begin{aligned} a &= b \\\\ &= c \\end{aligned}", display: true).Descendants("mtable").Single();
        Assert.Equal([2, 2], table.Elements("mtr").Select(row => row.Elements("mtd").Count()));
    }

    [Theory]
    [InlineData("\\unknown")]
    [InlineData("{x")]
    [InlineData("x}")]
    [InlineData("x_1_2")]
    [InlineData("\\frac{1}")]
    [InlineData("\\left(x")]
    [InlineData("\\begin{aligned}x\\end{cases}")]
    [InlineData("\\href{javascript:alert(1)}{x}")]
    [InlineData("a & b")]
    [InlineData("\\")]
    public void What_is_not_known_is_refused(string latex) => Assert.Throws<FormatException>(() => MathMl.From(latex, display: false));

    [Fact]
    public void Nesting_without_end_is_refused_not_followed()
    {
        Assert.Throws<FormatException>(() => MathMl.From(new string('{', 100_000), display: false));
        Assert.Throws<FormatException>(() => MathMl.From(string.Concat(Enumerable.Repeat("\\left(", 10_000)), display: false));
        Assert.Throws<FormatException>(() => MathMl.From(string.Concat(Enumerable.Repeat("\\hat", 100_000)) + "x", display: false));
        Assert.Throws<FormatException>(() => MathMl.From(string.Concat(Enumerable.Repeat("\\sqrt[", 10_000)) + "]x", display: false));
    }

    [Fact]
    public void A_page_shows_an_equation_that_is_not_known_as_it_was_written()
    {
        var page = NotebookPage.Of(Text("Known $x^2$, unknown $\\\\weird{<b>}$, and\\n\\n$$ \\\\frac{1}{2} $$\\n"), "n");
        Assert.Contains("<msup><mi>x</mi><mn>2</mn></msup>", page, StringComparison.Ordinal);
        Assert.Contains("<code class=\"math\">\\weird{&lt;b&gt;}</code>", page, StringComparison.Ordinal);
        Assert.Matches(new Regex("<math display=\"block\"[^>]*><mfrac>", RegexOptions.None, TimeSpan.FromSeconds(5)), page);
    }

    [Fact]
    public void Every_equation_of_the_shipped_notebooks_is_known()
    {
        foreach (var path in Directory.EnumerateFiles(Path.Combine(TestData.Repository, "notebooks"), "*.ipynb"))
        {
            var page = NotebookPage.Of(NotebookFile.Read(path), "n");
            Assert.Contains("<math", page, StringComparison.Ordinal);
            Assert.DoesNotContain("class=\"math\"", page, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_browser_lays_equations_out()
    {
        await using var page = await charts.Page.Browser.NewPageAsync();
        await page.SetContentAsync(NotebookPage.Of(Text("$$ \\\\frac{1}{|R|} \\\\sum_{i} x_i $$"), "n"));

        // The denominator is below the numerator, and nothing of the source is left to read.
        var below = await page.EvaluateExpressionAsync<double>(
            "(() => { const f = document.querySelector('mfrac'); return f.children[1].getBoundingClientRect().top - f.children[0].getBoundingClientRect().top; })()");
        Assert.True(below > 5);
        Assert.DoesNotContain("frac", await page.EvaluateExpressionAsync<string>("document.body.innerText"), StringComparison.Ordinal);
    }

    private static NotebookFile Text(string source) => NotebookFile.Parse(
        System.Text.Encoding.UTF8.GetBytes("{\"cells\": [{\"cell_type\": \"markdown\", \"id\": \"a\", \"metadata\": {}, \"source\": \"" + source.Replace("\"", "\\\"", StringComparison.Ordinal) + "\"}], \"metadata\": {}, \"nbformat\": 4, \"nbformat_minor\": 5}"),
        "n");
}
