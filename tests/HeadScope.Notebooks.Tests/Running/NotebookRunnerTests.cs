using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using HeadScope.Cli;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

public class NotebookRunnerTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Outputs_of_every_kind_stand_in_their_cells()
    {
        var notebook = Notebook(
            """["Console.WriteLine(\"a\");\n", "Console.WriteLine(\"b\"); Console.Error.Write(\"e\");\n", "display(HTML(\"<i>h</i>\"));\n", "1 + 1"]""",
            "\"var shown = display(\\\"old\\\");\"",
            "\"shown.Update(\\\"new\\\");\"");
        var run = await NotebookRunner.RunAsync(notebook, cancellationToken: Cancelled);
        Assert.True(run.Succeeded);
        var outputs = Outputs(notebook, 0);
        Assert.Equal(["stream", "stream", "display_data", "execute_result"], outputs.Select(o => (string?)o!["output_type"]));
        Assert.Equal("a\nb\n", NotebookFile.Joined(outputs[0]!["text"]));
        Assert.Equal("stderr", (string?)outputs[1]!["name"]);
        Assert.Equal("<i>h</i>", NotebookFile.Joined(outputs[2]!["data"]!["text/html"]));
        Assert.Equal("2", NotebookFile.Joined(outputs[3]!["data"]!["text/plain"]));
        Assert.Equal(1, (int?)outputs[3]!["execution_count"]);
        Assert.Equal("new", NotebookFile.Joined(Outputs(notebook, 1)[0]!["data"]!["text/plain"]));
        Assert.Equal(3, (int?)notebook.Cells[2]!["execution_count"]);
    }

    [Fact]
    public async Task Unknown_fields_and_other_cells_stay_as_they_are()
    {
        const string Json = """
            {"cells": [
              {"cell_type": "markdown", "id": "m", "metadata": {"x": [1, 2.50]}, "source": ["# é\n", "😀"], "attachments": {"a": {}}},
              {"cell_type": "code", "id": "c", "metadata": {"slideshow": {"slide_type": "-"}}, "source": "var z = 5;", "outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}], "execution_count": 7},
              {"cell_type": "raw", "id": "r", "metadata": {}, "source": "raw"}],
             "metadata": {"kernelspec": {"name": "other"}, "custom": {"deep": null}}, "nbformat": 4, "nbformat_minor": 5, "extra": true}
            """;
        var notebook = NotebookFile.Parse(Encoding.UTF8.GetBytes(Json), "n");
        await NotebookRunner.RunAsync(notebook, cancellationToken: Cancelled);
        var expected = JsonNode.Parse(Json)!;
        expected["cells"]![1]!["outputs"] = new JsonArray();
        expected["cells"]![1]!["execution_count"] = 1;
        var written = JsonNode.Parse(notebook.ToString())!;
        ((JsonObject)written["metadata"]!).Remove("language_info");
        Assert.True(JsonNode.DeepEquals(expected, written), written.ToJsonString());
        Assert.Contains("# é", notebook.ToString(), StringComparison.Ordinal);
        Assert.Contains("2.50", notebook.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_run_stops_at_the_first_error_which_stays_in_the_notebook()
    {
        var notebook = Notebook("\"Console.Write(1);\"", "\"var y = 1;\\nthrow new InvalidDataException(\\\"bad\\\");\"", "\"Console.Write(3);\"");
        var run = await NotebookRunner.RunAsync(notebook, cancellationToken: Cancelled);
        Assert.Equal(2, run.FailedCell); // as [2] beside the cell
        Assert.Equal("System.IO.InvalidDataException", run.Error!.Name);
        Assert.Equal("bad", (string?)Assert.Single(Outputs(notebook, 1))!["evalue"]);
        Assert.Empty(Outputs(notebook, 2));
        Assert.Null(notebook.Cells[2]!["execution_count"]);
    }

    [Theory]
    [InlineData("model", "gpt2", "var model = \"gpt2\";")]
    [InlineData("k", "10", "var k = 10;")]
    [InlineData("rate", "1e-3", "var rate = 0.001;")]
    [InlineData("rate", "2.0", "var rate = 2d;")]
    [InlineData("on", "true", "var on = true;")]
    [InlineData("text", "a\"; Evil(); //", "var text = \"a\\\"; Evil(); //\";")]
    [InlineData("text", "NaN", "var text = \"NaN\";")]
    [InlineData("text", "", "var text = \"\";")]
    public void Parameters_become_assignments(string name, string value, string expected) =>
        Assert.Equal($"// Parameters\n{expected}", NotebookParameters.ToCode([new(name, value)]));

    [Theory]
    [InlineData("a b")]
    [InlineData("class")]
    [InlineData("1a")]
    public void A_parameter_needs_a_name_of_the_language(string name) =>
        Assert.Throws<ArgumentException>(() => NotebookParameters.ToCode([new(name, "1")]));

    [Fact]
    public async Task Parameters_stand_after_their_cell_and_are_replaced_by_the_next_run()
    {
        var notebook = NotebookFile.Parse(
            """
            {"cells": [
              {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": "var model = \"demo\"; var n = 1;", "outputs": [], "execution_count": null},
              {"cell_type": "code", "id": "b", "metadata": {}, "source": "model + n", "outputs": [], "execution_count": null}],
             "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            """u8,
            "n");
        foreach (var model in new[] { "gpt2", "phi" })
        {
            var run = await NotebookRunner.RunAsync(notebook, new NotebookRunOptions { Parameters = [new("model", model), new("n", "2")] }, cancellationToken: Cancelled);
            Assert.True(run.Succeeded);
            Assert.Equal(3, notebook.Cells.Count);
            Assert.True(NotebookFile.HasTag((JsonObject)notebook.Cells[1]!, "injected-parameters"));
            Assert.NotNull(notebook.Cells[1]!["id"]);
            Assert.Equal(model + "2", NotebookFile.Joined(Outputs(notebook, 2)[0]!["data"]!["text/plain"]));
        }
    }

    [Fact]
    public async Task A_parameter_that_the_notebook_does_not_have_is_refused_with_those_it_has()
    {
        var notebook = NotebookFile.Parse(
            """
            {"cells": [{"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": "var model = \"demo\"; int n = 1, k = 2;", "outputs": [], "execution_count": null}],
             "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            """u8,
            "n");
        var error = await Assert.ThrowsAsync<ArgumentException>(() =>
            NotebookRunner.RunAsync(notebook, new NotebookRunOptions { Parameters = [new("modle", "gpt2")] }, cancellationToken: Cancelled));
        Assert.Contains("'modle'", error.Message, StringComparison.Ordinal);
        Assert.Contains("model, n, k", error.Message, StringComparison.Ordinal);
        Assert.Single(notebook.Cells);
    }

    [Fact]
    public async Task A_cell_is_called_by_the_number_that_stands_beside_it()
    {
        var notebook = NotebookFile.Parse(
            """
            {"cells": [
              {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "text"},
              {"cell_type": "code", "id": "b", "metadata": {}, "source": "", "outputs": [], "execution_count": null},
              {"cell_type": "code", "id": "c", "metadata": {}, "source": "1", "outputs": [], "execution_count": null},
              {"cell_type": "code", "id": "d", "metadata": {}, "source": "nothing", "outputs": [], "execution_count": null}],
             "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            """u8,
            "n");
        Assert.Equal(2, (await NotebookRunner.RunAsync(notebook, cancellationToken: Cancelled)).FailedCell);
        Assert.Equal(2, (int?)notebook.Cells[3]!["execution_count"]);
    }

    [Fact]
    public async Task Charts_are_drawn_once_after_the_last_cell_and_kept_as_data_and_picture()
    {
        const string Shows = "\"display(new MimeBundle(new Dictionary<string, string> { [\\\"application/vnd.plotly.v1+json\\\"] = \\\"{\\\\\\\"data\\\\\\\":[]}\\\", [\\\"text/html\\\"] = \\\"<script>x</script>\\\", [\\\"text/plain\\\"] = \\\"chart\\\" }));\"";
        var notebook = Notebook(Shows, Shows, "\"display(HTML(\\\"<b>table</b>\\\")); throw new Exception();\"");
        var drawn = new List<string>();
        Task<string> Draw(string json, CancellationToken stop)
        {
            drawn.Add(json);
            Assert.NotEmpty(Outputs(notebook, 2));
            return Task.FromResult("<svg>\n</svg>");
        }

        var run = await NotebookRunner.RunAsync(notebook, new NotebookRunOptions { Draw = Draw }, cancellationToken: Cancelled);
        Assert.Equal(3, run.FailedCell);
        Assert.Equal("{\"data\":[]}", Assert.Single(drawn));
        Assert.Contains("<script>x</script>", NotebookPage.Of(notebook, "n"), StringComparison.Ordinal);
        var kept = NotebookFile.Parse(Encoding.UTF8.GetBytes(notebook.ToString()), "kept");
        foreach (var cell in new[] { 0, 1 })
        {
            var data = (JsonObject)Outputs(kept, cell)[0]!["data"]!;
            Assert.Equal(["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"], data.Select(form => form.Key).Order(StringComparer.Ordinal));
            Assert.Equal("<svg>\n</svg>", NotebookFile.Joined(data["image/svg+xml"]));
        }

        Assert.Equal("<b>table</b>", NotebookFile.Joined(Outputs(kept, 2)[0]!["data"]!["text/html"]));
    }

    [Theory]
    [InlineData("javascript:alert(1)")]
    [InlineData("JavaScript:alert(1)")]
    [InlineData("java&#115;cript:alert(1)")]
    [InlineData("java&#10;script:alert(1)")]
    [InlineData("&#1;javascript:alert(1)")]
    [InlineData("vbscript:x")]
    [InlineData("data:text/html,x")]
    [InlineData("data:text/html;base64,eA==")]
    [InlineData("file:///etc/passwd")]
    public void A_link_that_may_run_something_leads_nowhere(string address)
    {
        var text = JsonSerializer.Serialize($"[a]({address}) <{address}> ![b]({address})\n\n[c]\n\n[c]: {address}");
        var notebook = NotebookFile.Parse(
            Encoding.UTF8.GetBytes($$"""{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": {{text}}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""), "n");
        var page = NotebookPage.Of(notebook, "n");
        var links = System.Text.RegularExpressions.Regex.Matches(page, "(href|src)=\"([^\"]*)\"").Select(m => m.Groups[2].Value).ToList();
        Assert.Equal(["", "", ""], links);
    }

    [Theory]
    [InlineData("https://example.org/a?b=c:d")]
    [InlineData("figures/a:b.svg")]
    [InlineData("#part")]
    [InlineData("mailto:a@example.org")]
    public void Other_links_stay(string address)
    {
        var notebook = NotebookFile.Parse(
            Encoding.UTF8.GetBytes($$"""{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "[a]({{address}})"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""), "n");
        Assert.Contains($"href=\"{address}\"", NotebookPage.Of(notebook, "n"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cell_that_takes_too_long_fails()
    {
        var run = await NotebookRunner.RunAsync(
            Notebook("\"Thread.Sleep(Timeout.Infinite);\""), new NotebookRunOptions { Timeout = TimeSpan.FromSeconds(0.5) }, cancellationToken: Cancelled);
        Assert.Equal("Timeout", run.Error!.Name);
        Assert.Contains("0.5 s", run.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Input_is_refused_with_a_way_out()
    {
        var run = await NotebookRunner.RunAsync(Notebook("\"Console.ReadLine()\""), cancellationToken: Cancelled);
        Assert.Contains("-p name=value", run.Error!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"nbformat\": 3, \"worksheets\": []}")]
    [InlineData("{\"nbformat\": 4}")]
    [InlineData("{\"nbformat\": 4, \"cells\": [{}]}")]
    [InlineData("{\"nbformat\": 4, \"cells\": [{\"cell_type\": 1, \"source\": \"\"}]}")]
    [InlineData("{\"nbformat\": 4, \"cells\": [{\"cell_type\": \"code\", \"source\": [1]}]}")]
    [InlineData("{\"nbformat\": 4, \"nbformat\": 4, \"cells\": []}")]
    [InlineData("{\"nbformat\": \"4\", \"cells\": []}")]
    [InlineData("{\"nbformat\": 4, \"nbformat_minor\": [], \"cells\": []}")]
    [InlineData("{\"nbformat\": 4, \"metadata\": [], \"cells\": []}")]
    [InlineData("{\"nbformat\": 4, \"cells\": [\"x\"]}")]
    [InlineData("{\"nbformat\": 4, \"cells\": {}}")]
    [InlineData("{\"nbformat\": 4, \"metadata\": {\"x\": \"\\ud800\"}, \"cells\": []}")]
    public void What_is_no_notebook_is_named(string json) =>
        Assert.Contains("some.ipynb", Assert.Throws<InvalidDataException>(() => NotebookFile.Parse(Encoding.UTF8.GetBytes(json), "some.ipynb")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("\"outputs\": [\"x\"]", "outputs[0]")]
    [InlineData("\"outputs\": \"x\"", "outputs")]
    [InlineData("\"outputs\": {}", "outputs")]
    [InlineData("\"outputs\": [{}]", "outputs[0].output_type")]
    [InlineData("\"outputs\": [{\"output_type\": 5}]", "outputs[0].output_type")]
    [InlineData("\"outputs\": [{\"output_type\": \"stream\", \"text\": 5}]", "outputs[0].text")]
    [InlineData("\"outputs\": [{\"output_type\": \"error\", \"traceback\": [5]}]", "outputs[0].traceback")]
    [InlineData("\"outputs\": [{\"output_type\": \"error\", \"traceback\": \"x\"}]", "outputs[0].traceback")]
    [InlineData("\"outputs\": [{\"output_type\": \"display_data\", \"data\": []}]", "outputs[0].data")]
    [InlineData("\"outputs\": [{\"output_type\": \"display_data\", \"data\": {\"text/html\": {}}}]", "outputs[0].data")]
    [InlineData("\"metadata\": 5", "metadata")]
    [InlineData("\"metadata\": {\"tags\": \"parameters\"}", "metadata.tags")]
    [InlineData("\"attachments\": {\"a\": 5}", "attachments")]
    [InlineData("\"execution_count\": \"x\"", "execution_count")]
    [InlineData("\"id\": 5", "id")]
    [InlineData("\"cell_type\": \"heading\"", "cell_type")]
    public void A_cell_of_another_form_is_refused_by_its_place(string field, string place)
    {
        var type = field.Contains("cell_type", StringComparison.Ordinal) ? "" : "\"cell_type\": \"code\", ";
        var json = $$"""{"nbformat": 4, "cells": [{"cell_type": "markdown", "source": ""}, { {{type}}"source": "", {{field}} }]}""";
        var message = Assert.Throws<InvalidDataException>(() => NotebookFile.Parse(Encoding.UTF8.GetBytes(json), "some.ipynb")).Message;
        Assert.StartsWith($"some.ipynb: cells[1].{place} is missing or of another kind", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_page_shows_text_as_text()
    {
        var notebook = NotebookFile.Parse(
            """
            {"cells": [
              {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Heads\n<script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |"},
              {"cell_type": "code", "id": "b", "metadata": {}, "source": "Console.Write(\"<script>alert(2)</script>\"); \"<script>alert(3)</script>\"", "outputs": [], "execution_count": null},
              {"cell_type": "code", "id": "c", "metadata": {}, "source": "throw new Exception(\"<script>alert(4)</script>\");", "outputs": [], "execution_count": null}],
             "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            """u8,
            "n");
        await NotebookRunner.RunAsync(notebook, cancellationToken: Cancelled);
        var page = NotebookPage.Of(notebook, "<title>");
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);

        // One in the text, three in the code, and four times in the outputs: an error shows its message and its line.
        Assert.Equal(1 + 3 + 4, page.Split("&lt;script&gt;").Length - 1);
        Assert.Contains("<h1", page, StringComparison.Ordinal);
        Assert.Contains("<table>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("\e", page, StringComparison.Ordinal);
    }

    [Fact]
    public void A_page_that_shows_charts_carries_plotly_once()
    {
        var fragment = JsonSerializer.Serialize(ChartOutput.Fragment(Charts.Bars([("a", 1, 0)], "title", "value")));
        var cell = $$"""{"cell_type": "code", "id": "a", "metadata": {}, "source": "", "execution_count": null, "outputs": [{"output_type": "display_data", "metadata": {}, "data": {"text/html": {{fragment}} } }]}""";
        var notebook = NotebookFile.Parse(Encoding.UTF8.GetBytes($$"""{"cells": [ {{cell}}, {{cell}} ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""), "n");
        Assert.Equal(2, NotebookPage.Of(notebook, "n", head: NotebookFigures.Head).Split("headscopePlotlyPacked = ").Length);
    }

    [Fact]
    public void Pictures_beside_the_notebook_become_part_of_the_page_and_other_files_do_not()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            var notebooks = Directory.CreateDirectory(Path.Combine(folder, "notebooks", "figures")).Parent!.FullName;
            File.WriteAllText(Path.Combine(notebooks, "figures", "a.svg"), "<svg/>");
            File.WriteAllText(Path.Combine(notebooks, "figures", "a.txt"), "text");
            File.WriteAllText(Path.Combine(folder, "outside.svg"), "<svg/>");
            var notebook = NotebookFile.Parse(
                """
                {"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "attachments": {"c.png": {"image/png": "QUJD"}},
                  "source": "![a](figures/a.svg) ![b](../outside.svg) ![c](attachment:c.png) ![d](https://example.org/d.png) ![e](figures/a.txt) ![f](figures/none.png)"}],
                 "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
                """u8,
                "n");
            var page = NotebookPage.Of(notebook, "n", notebooks);
            Assert.Contains($"src=\"data:image/svg+xml;base64,{Convert.ToBase64String("<svg/>"u8)}\" alt=\"a\"", page, StringComparison.Ordinal);
            Assert.Contains("src=\"data:image/png;base64,QUJD\" alt=\"c\"", page, StringComparison.Ordinal);
            Assert.Contains("src=\"../outside.svg\"", page, StringComparison.Ordinal);
            Assert.Contains("src=\"https://example.org/d.png\"", page, StringComparison.Ordinal);
            Assert.Contains("src=\"figures/a.txt\"", page, StringComparison.Ordinal);
            Assert.Contains("src=\"figures/none.png\"", page, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static JsonArray Outputs(NotebookFile notebook, int cell) => (JsonArray)notebook.Cells[cell]!["outputs"]!;

    private static NotebookFile Notebook(params string[] sources)
    {
        var cells = sources.Select((source, i) =>
            $$"""{"cell_type": "code", "id": "c{{i}}", "metadata": {}, "source": {{source}}, "outputs": [], "execution_count": null}""");
        return NotebookFile.Parse(
            Encoding.UTF8.GetBytes($$"""{"cells": [{{string.Join(',', cells)}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""), "n");
    }
}
