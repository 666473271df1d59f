using System.Text.Json;
using HeadScope.Cli;

namespace HeadScope.Notebooks.Tests;

public sealed class VerbTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task Tokenize_prints_one_array_for_a_text_and_one_a_line_for_many()
    {
        var (code, one, error) = await CommandLine.RunAsync("tokenize", "--text", "The capital city of France is called");
        Assert.Equal((ExitCode.Done, ""), (code, error));
        var ids = JsonSerializer.Deserialize<int[]>(one)!;
        Assert.NotEmpty(ids);

        var lines = Path.Combine(folder, "x.jsonl");
        await File.WriteAllTextAsync(lines, "\"The capital city of France is called\"\n\"\"\n\"\\u00e9\\ud83d\\ude00\\n\"\n", TestContext.Current.CancellationToken);
        (code, var many, _) = await CommandLine.RunAsync("tokenize", "--lines", lines);
        Assert.Equal(ExitCode.Done, code);
        var rows = many.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal(3, rows.Length);
        Assert.Equal(ids, JsonSerializer.Deserialize<int[]>(rows[0]));
        Assert.Equal("[]", rows[1]);
    }

    [Fact]
    public async Task Tokenize_needs_nothing_but_a_tokenizer()
    {
        var (_, expected, _) = await CommandLine.RunAsync("tokenize", "--text", "The capital city");
        var source = ModelFiles.Resolve("demo").Location;
        foreach (var name in new[] { "vocab.json", "merges.txt" })
        {
            File.Copy(Path.Combine(source, name), Path.Combine(folder, name));
        }

        var (code, pair, error) = await CommandLine.RunAsync("tokenize", "--model", folder, "--text", "The capital city");
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Equal(expected, pair);

        File.Delete(Path.Combine(folder, "vocab.json"));
        File.Copy(Path.Combine(source, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
        (_, var json, _) = await CommandLine.RunAsync("tokenize", "--model", folder, "--text", "The capital city");
        Assert.Equal(expected, json);
        (_, json, _) = await CommandLine.RunAsync("tokenize", "--model", Path.Combine(folder, "tokenizer.json"), "--text", "The capital city");
        Assert.Equal(expected, json);
    }

    [Fact]
    public async Task All_activations_can_be_written_at_once()
    {
        var path = Path.Combine(folder, "all.safetensors");
        var (code, _, error) = await CommandLine.RunAsync("activations", "--ids", "5,7,9", "--names", "*", "--output", path);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        using var model = Model.Load("demo");
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(model.ActivationNames.Order(StringComparer.Ordinal), file.Tensors.Keys.Order(StringComparer.Ordinal));
        Assert.Equal([1L, 3L, 1L], file.Tensors["ln_final.hook_scale"].Shape);
    }

    [Fact]
    public async Task A_line_that_is_no_json_string_is_named()
    {
        var lines = Path.Combine(folder, "x.jsonl");
        await File.WriteAllTextAsync(lines, "\"a\"\n{}\n", TestContext.Current.CancellationToken);
        var (code, _, error) = await CommandLine.RunAsync("tokenize", "--lines", lines);
        Assert.Equal(ExitCode.Failed, code);
        Assert.Contains("line 2", error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
    }

    [Fact]
    public async Task Logits_are_position_by_vocabulary_and_activations_keep_their_batch()
    {
        var (logits, patterns) = (Path.Combine(folder, "l.safetensors"), Path.Combine(folder, "p.safetensors"));
        var (code, _, error) = await CommandLine.RunAsync("logits", "--ids", "5,7,9", "--output", logits);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        using (var file = SafetensorsFile.Open(logits))
        {
            Assert.Equal([3L, 2923L], file.Tensors["logits"].Shape);
        }

        (code, _, error) = await CommandLine.RunAsync("activations", "--ids", "5,7,9", "--names", "blocks.*.attn.hook_pattern,ln_final.hook_normalized", "--output", patterns);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        using var activations = SafetensorsFile.Open(patterns);
        Assert.Equal(5, activations.Tensors.Count);
        Assert.Equal([1L, 8L, 3L, 3L], activations.Tensors["blocks.2.attn.hook_pattern"].Shape);
    }

    [Theory]
    [InlineData("tokenize")]
    [InlineData("tokenize", "--text", "a", "--lines", "b")]
    [InlineData("logits", "--text", "a")]
    [InlineData("logits", "--text", "a", "--ids", "1", "--output", "x.safetensors")]
    [InlineData("logits", "--ids", "1,x", "--output", "x.safetensors")]
    [InlineData("logits", "--ids", "2923", "--output", "x.safetensors")]
    [InlineData("map", "--relation", "no_such_relation")]
    [InlineData("map", "--shard", "3/2")]
    [InlineData("map", "--shard", "half")]
    [InlineData("map", "--output", "map.gif")]
    [InlineData("map", "--k", "ten")]
    [InlineData("map", "--k", "0")]
    [InlineData("map", "--top", "-1")]
    [InlineData("map", "--minimum-pairs", "0")]
    [InlineData("map", "--model", "")]
    [InlineData("merge")]
    [InlineData("models")]
    public async Task Wrong_usage_ends_with_2_before_any_work(params string[] arguments)
    {
        var (code, output, error) = await CommandLine.RunAsync(arguments);
        Assert.Equal(ExitCode.WrongUsage, code);
        Assert.Equal("", output);
        Assert.Contains("--help", error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("models", "show", "/no/such/folder")]
    [InlineData("merge", "/no/such/part.json", "--output", "x.json")]
    [InlineData("map", "--relation", "no-such.csv")]
    [InlineData("map", "--output", "/dev/null/x.json")]
    [InlineData("activations", "--ids", "1", "--names", "blocks.*.nothing", "--output", "x.safetensors")]
    public async Task Work_that_fails_ends_with_1_and_one_line(params string[] arguments)
    {
        var (code, _, error) = await CommandLine.RunAsync(arguments);
        Assert.Equal(ExitCode.Failed, code);
        Assert.StartsWith("headscope: ", error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
        Assert.DoesNotContain("(Parameter", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Map_writes_json_csv_and_a_page_and_prints_the_strongest_heads_without_colours()
    {
        var pairs = Path.Combine(folder, "my capitals.csv");
        await File.WriteAllTextAsync(pairs, "source,target\nFrance,Paris\nItaly,Rome\n<script>alert(1)</script>,x\n", TestContext.Current.CancellationToken);
        string[] outputs = [.. new[] { "x.json", "x.csv", "x.html" }.Select(name => Path.Combine(folder, name))];
        var (code, output, error) = await CommandLine.RunAsync(
            ["map", "--relation", pairs, "--relation", "country_to_language", "--k", "300", .. outputs.SelectMany(o => new[] { "--output", o })]);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        Assert.Contains("my capitals", output, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", output, StringComparison.Ordinal);

        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(outputs[0], TestContext.Current.CancellationToken));
        var relation = json.RootElement.GetProperty("relations")[0];
        Assert.Equal("my capitals", relation.GetProperty("name").GetString());
        Assert.Equal(300, relation.GetProperty("k").GetInt32());
        Assert.Equal(4, relation.GetProperty("relationScores").GetArrayLength());
        Assert.Equal(8, relation.GetProperty("suppressionScores")[3].GetArrayLength());
        var page = await File.ReadAllTextAsync(outputs[2], TestContext.Current.CancellationToken);
        Assert.DoesNotContain("<script>alert", page, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("France → Paris", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Parts_merge_into_the_same_file_as_the_whole()
    {
        string Path3(int i) => Path.Combine(folder, $"part-{i}.json");
        for (var i = 1; i <= 3; i++)
        {
            var (part, _, problem) = await CommandLine.RunAsync("map", "--relation", "country_to_capital", "--shard", $"{i}/3", "--output", Path3(i));
            Assert.Equal((ExitCode.Done, ""), (part, problem));
        }

        var (merged, whole) = (Path.Combine(folder, "merged.json"), Path.Combine(folder, "whole.json"));
        var (code, _, error) = await CommandLine.RunAsync("merge", Path3(3), Path3(1), Path3(2), "--output", merged);
        Assert.Equal((ExitCode.Done, ""), (code, error));
        (code, _, _) = await CommandLine.RunAsync("map", "--relation", "country_to_capital", "--output", whole, "--threads", "1");
        Assert.Equal(ExitCode.Done, code);
        Assert.Equal(await File.ReadAllTextAsync(whole, TestContext.Current.CancellationToken), await File.ReadAllTextAsync(merged, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Models_show_says_what_the_model_is()
    {
        var (code, output, _) = await CommandLine.RunAsync("models", "show", "demo");
        Assert.Equal(ExitCode.Done, code);
        Assert.Contains("gpt2", output, StringComparison.Ordinal);
        Assert.Contains("2,923", output, StringComparison.Ordinal);
        (code, output, _) = await CommandLine.RunAsync("models", "list");
        Assert.Equal(ExitCode.Done, code);
        Assert.StartsWith("demo", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelled_work_ends_with_130()
    {
        using var error = new StringWriter();
        var verb = new Verb("wait", "Waits.");
        verb.Does((_, _) => throw new OperationCanceledException());
        var root = Headscope.CreateRoot();
        root.Add(verb);
        Assert.Equal(ExitCode.Stopped, await Headscope.RunAsync(root, ["wait"], TextWriter.Null, error));
        Assert.Equal("headscope: stopped.", error.ToString().Trim());
    }
}
