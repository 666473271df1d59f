using System.Text.Json.Nodes;
using HeadScope.Notebooks.Running;
using Microsoft.DotNet.Interactive.Formatting;
using Plotly.NET;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

/// <summary>Values in Microsoft's kernel: they look as in HeadScope's, charts too, whichever package is loaded first; and its stop button stops.</summary>
/// <param name="client">Python with nbconvert.</param>
/// <param name="guest">The kernel.</param>
[Collection(nameof(PythonClient))]
public sealed class GuestDisplayTests(PythonClient client, Guest guest)
{
    private const string Formatters = "((Microsoft.DotNet.Interactive.IKernelExtension)new Plotly.NET.Interactive.FormatterKernelExtension())";

    private static readonly string[] Cells =
    [
        "#r \"nuget: Plotly.NET.Interactive, 6.0.0\"",
        Guest.FirstCell,
        "ones(2, 3)",
        """
        var model = Model.Load("demo");
        var map = HeadMap.Score(model, Relations.CountryToCapital);
        map
        """,
        "map.Table",
        "TokenView.Of(ones(1, 1, 2, 2), [\"a\", \"<b>\"], 0)",
        """
        var own = Plotly.NET.CSharp.Chart.Line<int, int, string>(new[] { 1, 2 }, new[] { 3, 4 });
        own
        """,
        $"{Formatters}.OnLoadAsync(Microsoft.DotNet.Interactive.Kernel.Root).Wait();\nown",
        """
        var ended = "by itself";
        var texts = Ioi.Prompts(3000).For(model).Prompts.Select(p => p.Text);
        """,
        """
        _ = Task.Delay(500).ContinueWith(_ => Microsoft.DotNet.Interactive.Kernel.Root.SendAsync(new Microsoft.DotNet.Interactive.Commands.Cancel()));
        try
        {
            Lorsa.Train(model, 1, LorsaCorpus.FromTexts(texts), new() { Heads = 384, QkHeads = 16, TopK = 16, Tokens = 100_000_000 });
        }
        catch (OperationCanceledException)
        {
            ended = "by the button";
        }
        """,
        """
        for (var tries = 0; tries < 300 && ended == "by itself"; tries++)
        {
            Thread.Sleep(100);
        }

        ended
        """,
    ];

    [Fact]
    public async Task Tensors_tables_and_tokens_are_the_same_HTML()
    {
        var cells = await ShownAsync();
        HeadScopeFormatters.Register();
        using var model = Model.Load("demo");
        var map = HeadMap.Score(model, Relations.CountryToCapital);
        Assert.Equal(ones(2, 3).ToDisplayString("text/html"), Html(cells[2]));
        Assert.Equal(map.Table.ToDisplayString("text/html"), Html(cells[4]));
        Assert.Equal(TokenView.Of(ones(1, 1, 2, 2), ["a", "<b>"], 0).ToHtml(), Html(cells[5]));
        Assert.Equal(ChartOutput.Carrier + "\n" + ChartOutput.Fragment(Charts.HeadMap(map)), Html(cells[3]));
        Assert.All(cells[2..6], cell => Assert.Equal(["text/html", "text/plain"], cell.Select(form => form.Key)));
    }

    [Fact]
    public async Task A_chart_of_the_user_is_drawn_without_a_network_whichever_package_registers_last()
    {
        var cells = await ShownAsync();
        var own = Plotly.NET.CSharp.Chart.Line<int, int, string>([1, 2], [3, 4]);
        Assert.All(cells[6..8], cell => Assert.Equal(ChartOutput.Fragment(own), Html(cell)));
    }

    [Fact]
    public async Task Its_stop_button_reaches_a_long_call_that_was_given_no_token()
    {
        var run = await RunAsync();
        Assert.Equal(["Command cancelled."], GuestNotebookTests.Outputs(run).Where(output => (string?)output["output_type"] == "error").Select(output => (string?)output["evalue"]));
        Assert.Equal("by the button", NotebookFile.Joined((await ShownAsync())[^1]["text/plain"]));
    }

    private static string Html(JsonObject data) => NotebookFile.Joined(data["text/html"]);

    private Task<NotebookFile> RunAsync() => guest.RunAsync(client, "displays", () => NotebookFile.Parse(
        System.Text.Encoding.UTF8.GetBytes(new JsonObject
        {
            ["cells"] = new JsonArray([.. Cells.Select(GuestNotebookTests.Code)]), ["metadata"] = new JsonObject(), ["nbformat"] = 4, ["nbformat_minor"] = 5,
        }.ToJsonString()),
        "displays"));

    /// <summary>What each cell showed last.</summary>
    private async Task<JsonObject[]> ShownAsync() =>
        [.. (await RunAsync()).Cells.Select(cell => cell!["outputs"]!.AsArray().Select(output => output!["data"]).OfType<JsonObject>().LastOrDefault() ?? [])];
}
