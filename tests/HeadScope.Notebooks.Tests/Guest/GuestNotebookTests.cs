using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

/// <summary>The five notebooks in Microsoft's kernel.</summary>
/// <param name="client">Python with nbconvert.</param>
/// <param name="guest">The kernel.</param>
[Collection(nameof(PythonClient))]
public sealed partial class GuestNotebookTests(PythonClient client, Guest guest)
{
    public static TheoryData<string> Notebooks => ShippedNotebookTests.Notebooks;

    [Theory]
    [MemberData(nameof(Notebooks))]
    public async Task A_notebook_runs_there_and_prints_the_same(string name)
    {
        var run = await RunOf(name);
        Assert.Empty(Outputs(run).Where(output => (string?)output["output_type"] == "error").Select(output => (string?)output["evalue"]));

        // The first cell says what it installs; the rest is what HeadScope's kernel prints, but for what this one adds.
        run.Cells.OfType<JsonObject>().First(IsCode)["outputs"] = new JsonArray();
        foreach (var cell in run.Cells.OfType<JsonObject>().Where(IsCode))
        {
            cell["outputs"] = new JsonArray([.. cell["outputs"]!.AsArray().OfType<JsonObject>().Select(WithoutAdditions).OfType<JsonNode>()]);
        }

        var kept = FrozenText.Kept(Path.Combine(
            TestData.Repository, "tests", "HeadScope.Notebooks.Tests", "Running", "Frozen", Path.ChangeExtension(name, ".txt")));
        var found = FrozenText.Of(run);
        Assert.Equal(kept.Count, found.Count);
        Assert.All(kept.Zip(found), (cell, i) =>
        {
            var difference = FrozenText.Difference(cell.First, cell.Second);
            Assert.True(difference is null, $"{name}, text {i + 1}: {difference}");
        });
    }

    [Theory]
    [MemberData(nameof(Notebooks))]
    public async Task Its_charts_and_tables_are_HeadScopes(string name)
    {
        var shown = Outputs(await RunOf(name)).Select(output => output["data"]).OfType<JsonObject>().ToList();
        var pages = shown.Select(data => NotebookFile.Joined(data["text/html"])).ToList();
        var charts = pages.Where(IsChart).ToList();
        Assert.NotEmpty(charts);
        Assert.All(charts, (html, i) => Assert.Equal(i == 0, html.Contains(ChartOutput.Mark + "Packed = ", StringComparison.Ordinal)));
        Assert.All(pages, html => Assert.False(
            html.Contains("dni-treeview", StringComparison.Ordinal) || html.Contains("require(", StringComparison.Ordinal), "Another package's formatter won."));
        Assert.All(shown, data => Assert.Null(data[ChartOutput.MimeType]));
    }

    /// <summary>All five run, several at a time, as soon as the first is asked for.</summary>
    private async Task<NotebookFile> RunOf(string name)
    {
        var runs = Notebooks.Select(row => row.Data).ToDictionary(row => row, row => guest.RunAsync(client, Path.GetFileNameWithoutExtension(row), () => Begun(row)), StringComparer.Ordinal);
        return NotebookFile.Parse(System.Text.Encoding.UTF8.GetBytes((await runs[name]).ToString()), name);
    }

    private static NotebookFile Begun(string name)
    {
        var notebook = NotebookFile.Read(Path.Combine(TestData.Repository, "notebooks", name));
        foreach (var cell in notebook.Cells.OfType<JsonObject>().Where(IsCode))
        {
            var lines = NotebookFile.Joined(cell["source"]).Split('\n').Where(line => !line.StartsWith("#r ", StringComparison.Ordinal)).ToList();
            lines.AddRange(lines.Exists(line => line.StartsWith("var tokens = ", StringComparison.Ordinal)) ? ["tokens = 30000;"] : []);
            cell["source"] = string.Join('\n', lines);
        }

        notebook.Cells.Insert(0, Code(Guest.FirstCell));
        return notebook;
    }

    internal static JsonObject Code(string source) => new()
    {
        ["cell_type"] = "code", ["id"] = Guid.NewGuid().ToString("N"), ["metadata"] = new JsonObject(), ["source"] = source, ["outputs"] = new JsonArray(), ["execution_count"] = null,
    };

    internal static IEnumerable<JsonObject> Outputs(NotebookFile notebook) => notebook.Cells.OfType<JsonObject>().Where(IsCode)
        .SelectMany(cell => cell["outputs"]!.AsArray().OfType<JsonObject>());

    private static bool IsCode(JsonObject cell) => (string?)cell["cell_type"] == "code";

    private static bool IsChart(string html) => html.Contains(ChartOutput.Mark, StringComparison.Ordinal);

    // Without its line of progress every 30 seconds and its compiler's warnings.
    private static JsonNode? WithoutAdditions(JsonObject output)
    {
        var copy = output.DeepClone();
        if (output["data"]?["text/html"] is { } html && IsChart(NotebookFile.Joined(html)))
        {
            copy["data"]![ChartOutput.MimeType] = new JsonObject(); // by which a figure is known
        }

        if (output["text"] is not { } text)
        {
            return copy;
        }

        var own = string.Concat(NotebookFile.Joined(text).Split('\n').Where(line => !Addition().IsMatch(line)).Select(line => line + "\n"))[..^1];
        copy["text"] = own;
        return own.Trim().Length == 0 ? null : copy;
    }

    [GeneratedRegex(@"^warning CS1701: |^[\w ]+: [\d,]+( of [\d,]+)? \w+, [\d.]+ (s|min \d+ s), \S+/s", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex Addition();
}
