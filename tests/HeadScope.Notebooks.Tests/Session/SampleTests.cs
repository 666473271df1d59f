using System.Text.Json.Nodes;
using HeadScope.Cli;
using HeadScope.Notebooks.Running;
using HeadScope.Notebooks.Session;
using Markdig;
using Markdig.Syntax;

namespace HeadScope.Notebooks.Tests;

/// <summary>The samples of C# in the texts of the repository: they compile as cells of a notebook do, and those that need no other file run.</summary>
public sealed class SampleTests : IDisposable
{
    private readonly CSharpSession session = new(NotebookFigures.Extension);
    private readonly RecordedOutput output = new();

    public static TheoryData<string> Texts =>
        ["README.md", "CONTRIBUTING.md", .. Directory.EnumerateFiles(Path.Combine(TestData.Repository, "notebooks"), "*.ipynb").Select(path => $"notebooks/{Path.GetFileName(path)}")];

    public void Dispose() => session.Dispose();

    [Theory]
    [MemberData(nameof(Texts))]
    public async Task Samples_compile(string text)
    {
        // One method that nobody calls: later samples use what earlier ones declare, and what they leave open comes from outside.
        var lines = Samples(text).SelectMany(sample => sample.Split('\n')).ToLookup(line => line.StartsWith("using ", StringComparison.Ordinal) && !line.Contains('='));
        var cell = string.Join('\n', lines[true]) + "\nasync Task Samples(string text, int[] tokens)\n{\n" + string.Join('\n', lines[false]) + "\n}";
        var result = await session.RunAsync(cell, output);
        Assert.True(result.Error is null, result.Error is null ? "" : AnsiText.Plain(string.Join('\n', result.Error.Traceback)));
    }

    [Fact]
    public async Task The_first_samples_of_the_readme_run()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            var pairs = Path.Combine(folder, "pairs.csv");
            await File.WriteAllTextAsync(
                pairs,
                "source,target\n" + string.Join('\n', Relations.CountryToCapital.Pairs.Select(pair => $"{pair.Source},{pair.Target}")),
                TestContext.Current.CancellationToken);
            var samples = Samples("README.md");

            await Run(samples[0].Replace("\"pairs.csv\"", $"@\"{pairs}\"", StringComparison.Ordinal));
            Assert.Equal("4", await Value("pattern.ndim"));
            Assert.Equal("32", await Value("map.Relations[0].Scores.numel()"));
            await Run("var tokens = model.Tokenizer.Encode(\"When Mary and John went to the store, John gave a drink to\");");
            await Run(samples[1]);
            Assert.Equal("True", await Value("changed.Logits.shape[1] == 1 && folded != model && half.Dtype == torch.bfloat16"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Every_type_of_the_library_is_known_in_a_cell_by_its_name()
    {
        var types = new[] { typeof(Head).Assembly, typeof(Charts).Assembly }.SelectMany(assembly => assembly.GetExportedTypes())
            .Where(type => !type.IsNested && type.Namespace is not ("HeadScope.Notebooks.Kernel" or "HeadScope.Notebooks.Running"))
            .Select(type => type.IsGenericType ? $"{type.Name[..type.Name.IndexOf('`')]}<{new string(',', type.GetGenericArguments().Length - 1)}>" : type.Name)
            .ToList();
        Assert.Contains("TraceOptions", types);
        await Run(string.Join('\n', types.Distinct(StringComparer.Ordinal).Select(type => $"_ = typeof({type});")));
    }

    /// <summary>The blocks marked <c>csharp</c> of a text, or of the text cells of a notebook.</summary>
    private static IReadOnlyList<string> Samples(string text)
    {
        var path = Path.Combine(TestData.Repository, text);
        var markdown = text.EndsWith(".ipynb", StringComparison.Ordinal)
            ? string.Join("\n\n", NotebookFile.Read(path).Cells.OfType<JsonObject>().Where(cell => (string?)cell["cell_type"] == "markdown").Select(cell => Joined(cell["source"])))
            : File.ReadAllText(path);
        return [.. Markdown.Parse(markdown).Descendants<FencedCodeBlock>().Where(block => block.Info == "csharp").Select(block => block.Lines.ToString())];
    }

    private static string Joined(JsonNode? source) => source is JsonArray lines ? string.Concat(lines.Select(line => (string?)line)) : (string?)source ?? "";

    private async Task Run(string code)
    {
        var result = await session.RunAsync(code, output, interrupt: TestContext.Current.CancellationToken);
        Assert.True(result.Error is null, result.Error is null ? "" : AnsiText.Plain(string.Join('\n', result.Error.Traceback)));
    }

    private async Task<string?> Value(string expression) =>
        Convert.ToString((await session.RunAsync(expression, output, interrupt: TestContext.Current.CancellationToken)).Value, System.Globalization.CultureInfo.InvariantCulture);
}
