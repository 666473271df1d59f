using System.Globalization;
using TorchSharp;
using System.Text.Json;
using System.Text.RegularExpressions;
using HeadScope.Notebooks.Running;
using Microsoft.DotNet.Interactive.Formatting;

namespace HeadScope.Notebooks.Tests;

public class HeadScopeFormattersTests
{
    private const string Attack = "<script>alert(1)</script>";

    public HeadScopeFormattersTests() => HeadScopeFormatters.Register();

    [Fact]
    public async Task The_file_that_dotnet_interactive_runs_changes_nothing_elsewhere()
    {
        var extension = await File.ReadAllTextAsync(
            Path.Combine(TestData.Repository, "src", "HeadScope.Interactive", "interactive-extensions", "dotnet", "extension.dib"), TestContext.Current.CancellationToken);
        Assert.StartsWith("#!meta", extension, StringComparison.Ordinal);
        using var session = new Notebooks.Session.CSharpSession();
        var result = await session.RunAsync(extension[(extension.IndexOf("#!csharp", StringComparison.Ordinal) + "#!csharp".Length)..], new RecordedOutput());
        Assert.True(result.Succeeded, result.Error?.Message);
        Assert.Equal([ChartOutput.MimeType, "text/html"], Formatter.GetPreferredMimeTypesFor(typeof(HeadMap)));
        Assert.Null(AmbientWork.Outermost);
    }

    [Fact]
    public void A_head_map_shows_itself_as_plotly_figure_page_and_sentence()
    {
        using var model = Model.Load("demo");
        var map = HeadMap.Score(model, Relations.CountryToCapital);
        foreach (var result in new object[] { map, map.Relations[0] })
        {
            Assert.Equal([ChartOutput.MimeType, "text/html"], Formatter.GetPreferredMimeTypesFor(result.GetType()));
            using var json = JsonDocument.Parse(result.ToDisplayString(ChartOutput.MimeType));
            Assert.Equal("heatmap", json.RootElement.GetProperty("data")[0].GetProperty("type").GetString());
            Assert.Contains("application/json", result.ToDisplayString("text/html"), StringComparison.Ordinal);
            Assert.Contains("strongest", result.ToDisplayString("text/plain"), StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task A_chart_of_the_user_shows_itself_whether_Plotly_NET_Interactive_comes_before_or_after()
    {
        var chart = Plotly.NET.CSharp.Chart.Point<int, int, string>([1, 2], [3, 4]);
        var both = Plotly.NET.CSharp.Chart.Combine([chart, chart]);
        for (var round = 0; round < 2; round++)
        {
            await ((Microsoft.DotNet.Interactive.IKernelExtension)new Plotly.NET.Interactive.FormatterKernelExtension()).OnLoadAsync(new Microsoft.DotNet.Interactive.CompositeKernel());
            foreach (var shown in new object[] { chart, both })
            {
                Assert.Equal([ChartOutput.MimeType, "text/html"], Formatter.GetPreferredMimeTypesFor(shown.GetType()));
                Assert.Contains("aria-label", shown.ToDisplayString("text/html"), StringComparison.Ordinal);
            }

            HeadScopeFormatters.ShowsCharts();
        }
    }

    [Fact]
    public void A_model_shows_itself_as_a_card()
    {
        using var model = Model.Load("demo");
        Assert.Equal(["text/html"], Formatter.GetPreferredMimeTypesFor(typeof(Model)));
        var card = model.ToDisplayString("text/html");
        Assert.Contains("2,923", card, StringComparison.Ordinal);
        Assert.Contains("layers", card, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_shows_its_shape_and_statistics_not_its_million_numbers()
    {
        var tensor = torch.full([2, 500_000], 0.5f);
        tensor[0, 0] = float.NaN;
        var text = tensor.ToDisplayString("text/plain");
        Assert.Contains("[2, 500000]", text, StringComparison.Ordinal);
        Assert.Contains("mean 0.5", text, StringComparison.Ordinal);
        Assert.Contains("not finite 1", text, StringComparison.Ordinal);
        Assert.True(tensor.ToDisplayString("text/html").Length < 5000);
    }

    [Fact]
    public void Lists_of_records_show_as_tables()
    {
        HeadScore[] scores = [new("r", new Head(1, 2), 0.25f, 1, 4, false), new(Attack, new Head(0, 1), 0.5f, 2, 4, false)];
        foreach (var list in new IEnumerable<HeadScore>[] { scores, scores.ToList() })
        {
            var html = list.ToDisplayString("text/html");
            Assert.Contains("<table>", html, StringComparison.Ordinal);
            Assert.Contains("1.2", html, StringComparison.Ordinal);
            Assert.DoesNotContain(Attack, html, StringComparison.Ordinal);
            Assert.Contains(System.Net.WebUtility.HtmlEncode(Attack), html, StringComparison.Ordinal);
        }
    }
}
