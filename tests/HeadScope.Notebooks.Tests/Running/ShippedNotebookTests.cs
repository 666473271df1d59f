using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using HeadScope.Cli;
using HeadScope.Notebooks.Running;
using Markdig;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace HeadScope.Notebooks.Tests;

/// <summary>The notebooks in notebooks/: they run from top to bottom, and are kept with the outputs of such a run.</summary>
/// <param name="client">Python with nbconvert, for the run through the installed kernel.</param>
[Collection(nameof(PythonClient))]
public class ShippedNotebookTests(PythonClient client)
{
    private static readonly ConcurrentDictionary<string, Lazy<Task<(NotebookFile Notebook, NotebookRun Run)>>> Runs = new(StringComparer.Ordinal);

    public static TheoryData<string> Notebooks =>
        [.. Directory.EnumerateFiles(Folder, "*.ipynb").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    private static string Folder => Path.Combine(TestData.Repository, "notebooks");

    [Fact]
    public void All_five_are_there() =>
        Assert.Equal(
            ["01-head-map.ipynb", "02-salient-operations.ipynb", "03-ioi-circuit.ipynb", "04-lorsa.ipynb", "05-z-patterns.ipynb"],
            Notebooks.Select(row => row.Data));

    [Theory]
    [MemberData(nameof(Notebooks))]
    public async Task A_notebook_runs_headless(string name)
    {
        var (notebook, run) = await RunOf(name);
        Assert.True(run.Succeeded, run.Error is null ? "" : $"{run.Source}\n{AnsiText.Plain(string.Join('\n', run.Error.Traceback))}");
        Assert.Contains("Plotly.newPlot", NotebookPage.Of(notebook, name), StringComparison.Ordinal);
        Assert.DoesNotContain(ChartOutput.PlotlyScript[..60], notebook.ToString(), StringComparison.Ordinal);
    }

    /// <summary>Notebooks 1 to 3 to the digit; 4 and 5, which train, within tolerances that stand beside each number.</summary>
    [Theory]
    [MemberData(nameof(Notebooks))]
    public async Task A_notebook_prints_what_it_always_printed(string name)
    {
        var (notebook, run) = await RunOf(name);
        Assert.True(run.Succeeded, "The notebook does not run.");
        AssertFrozen(name, notebook);
    }

    [Theory]
    [InlineData("01-head-map.ipynb")]
    [InlineData("02-salient-operations.ipynb")]
    [InlineData("03-ioi-circuit.ipynb")]
    public void A_notebook_is_kept_with_what_it_prints(string name) => AssertFrozen(name, NotebookFile.Read(Path.Combine(Folder, name)));

    [Theory]
    [InlineData("EV ‹0.64±0.02› ok", "EV 0.62 ok", null)]
    [InlineData("EV ‹0.64±0.02› ok", "EV 0.61 ok", "0.61 is not 0.64 ± 0.02")]
    [InlineData("a ‹…› z\nb", "a 1\n2 z\nb", null)]
    [InlineData("a\nb 7.31", "a\nb 7.32", "Line 2 should be\n  b 7.31\nand is\n  b 7.32")]
    [InlineData("a", "a\nb", "Line 2 should be\n  \nand is\n  b")]
    public void Text_is_compared_to_the_digit_but_where_a_place_is_free(string kept, string found, string? difference) =>
        Assert.Equal(difference, FrozenText.Difference(kept, found));

    [Theory]
    [MemberData(nameof(Notebooks))]
    public void A_notebook_runs_through_its_kernel(string name)
    {
        client.Require();
        Assert.SkipWhen(client.Run("-c", "import nbconvert").Code != 0, "nbconvert is not installed; on Debian: apt-get install python3-nbconvert.");
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            var notebook = NotebookFile.Read(Path.Combine(Folder, name));
            foreach (var (parameter, value) in Smaller(notebook))
            {
                var cell = notebook.Cells.OfType<JsonObject>().Single(c => NotebookFile.HasTag(c, "parameters"));
                cell["source"] = NotebookFile.Joined(cell["source"]) + $"\n{parameter} = {value};";
            }

            var path = Path.Combine(folder, name);
            notebook.Write(path);
            var (code, _, error) = client.Run("-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "--ExecutePreprocessor.timeout=600", path);
            Assert.True(code == 0, error);
            Assert.All(Outputs(NotebookFile.Read(path)), output => Assert.NotEqual("error", (string?)output["output_type"]));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Notebooks))]
    public void A_notebook_is_kept_with_its_outputs(string name)
    {
        var notebook = NotebookFile.Read(Path.Combine(Folder, name));
        var code = notebook.Cells.OfType<JsonObject>().Where(c => (string?)c["cell_type"] == "code").ToList();
        Assert.Equal(Enumerable.Range(1, code.Count), code.Select(c => (int?)c["execution_count"] ?? 0));
        Assert.All(Outputs(notebook), output => Assert.NotEqual("error", (string?)output["output_type"]));
        Assert.Contains(Outputs(notebook), output => output["data"]?["application/vnd.plotly.v1+json"] is not null);
        Assert.Equal("headscope", (string?)notebook.Root["metadata"]?["kernelspec"]?["name"]);

        // A chart with its picture needs no HTML; and nothing carries plotly.js, plain or packed.
        Assert.All(Outputs(notebook).Select(output => output["data"]).OfType<JsonObject>(), data =>
            Assert.True(!data.ContainsKey(ChartOutput.MimeType) || (data.ContainsKey("image/svg+xml") && !data.ContainsKey("text/html")), "A chart is kept without a picture, or with HTML."));
        var text = File.ReadAllText(Path.Combine(Folder, name));
        Assert.DoesNotContain("plotly.js v", text, StringComparison.Ordinal);
        Assert.DoesNotContain("headscopePlotlyPacked = ", text, StringComparison.Ordinal);

        // Nothing of the machine that ran it.
        Assert.DoesNotContain(Path.GetTempPath(), text, StringComparison.Ordinal);
        Assert.DoesNotContain(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + Path.DirectorySeparatorChar, text, StringComparison.Ordinal);
        Assert.DoesNotContain("/home/", text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Notebooks))]
    public void A_notebook_shows_stored_figures_of_a_real_model(string name)
    {
        var text = string.Join("\n\n", NotebookFile.Read(Path.Combine(Folder, name)).Cells.OfType<JsonObject>()
            .Where(c => (string?)c["cell_type"] == "markdown").Select(c => NotebookFile.Joined(c["source"])));
        var pictures = Markdown.Parse(text).Descendants<LinkInline>().Where(link => link.IsImage).ToList();
        Assert.NotEmpty(pictures);
        foreach (var picture in pictures)
        {
            // Dots, which every site shows, and a click away the vectors; each small enough to keep.
            var dots = new FileInfo(Path.Combine(Folder, picture.Url!));
            var vectors = new FileInfo(Path.Combine(Folder, Assert.IsType<LinkInline>(picture.Parent).Url!));
            Assert.InRange(dots.Length, 1_000, 700_000);
            Assert.InRange(vectors.Length, 1_000, 800_000);
            Assert.Contains("<text", File.ReadAllText(vectors.FullName), StringComparison.Ordinal);
        }
    }

    private static void AssertFrozen(string name, NotebookFile notebook)
    {
        var kept = Path.Combine(
            TestData.Repository, "tests", "HeadScope.Notebooks.Tests", "Running", "Frozen", Path.ChangeExtension(name, ".txt"));
        var (expected, found) = (FrozenText.Kept(kept), FrozenText.Of(notebook));
        Assert.Equal(expected.Count, found.Count);
        Assert.All(expected.Zip(found), (cell, i) =>
        {
            var difference = FrozenText.Difference(cell.First, cell.Second);
            Assert.True(difference is null, $"{name}, text {i + 1} in {kept}: {difference}");
        });
    }

    /// <summary>The one headless run of a notebook that all tests look at.</summary>
    private static Task<(NotebookFile Notebook, NotebookRun Run)> RunOf(string name) => Runs.GetOrAdd(name, _ => new(async () =>
    {
        var notebook = NotebookFile.Read(Path.Combine(Folder, name));
        return (notebook, await NotebookRunner.RunAsync(notebook, new() { Parameters = [.. Smaller(notebook)], Extensions = [NotebookFigures.Extension] }));
    })).Value;

    private static IEnumerable<JsonObject> Outputs(NotebookFile notebook) =>
        notebook.Cells.OfType<JsonObject>().SelectMany(c => (c["outputs"] as JsonArray ?? []).OfType<JsonObject>());

    /// <summary>Shorter trainings, so that the tests take seconds; whoever runs the notebook gets the longer ones.</summary>
    private static IEnumerable<KeyValuePair<string, string>> Smaller(NotebookFile notebook) =>
        notebook.ToString().Contains("var tokens = ", StringComparison.Ordinal) ? [new("tokens", "30000")] : [];
}
