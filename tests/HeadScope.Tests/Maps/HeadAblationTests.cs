using System.Text.Json;

namespace HeadScope.Tests;

public class HeadAblationTests
{
    [Theory]
    [InlineData("tiny-gpt2")]
    [InlineData("tiny-llama-gqa")]
    public void A_tiny_model_loses_what_the_reference_s_loses(string name)
    {
        var folder = TestData.Shared("reference", "maps", name);
        using var model = Model.Load(folder);
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        var causal = golden.RootElement.GetProperty("causal");
        var meter = Meter(model, causal.GetProperty("template").GetString()!, causal.GetProperty("pairs"), 16);
        RequireSame(meter, causal.GetProperty("heads_in_order"), causal.GetProperty("accuracy_after_0_1_2_heads"), 0);
        foreach (var run in causal.GetProperty("random_runs").EnumerateArray())
        {
            RequireSame(meter, run.GetProperty("heads"), run.GetProperty("accuracy"), 0);
        }

        var scored = MapsUnderTest.Score(
            model,
            "tiny",
            [.. golden.RootElement.GetProperty("pairs").EnumerateArray().Select(p => (p[0].ToString(), p[1].ToString(), p[0].GetInt32(), p[1].GetInt32()))],
            new HeadMapOptions { K = 10 });
        Assert.Equal(Heads(causal.GetProperty("topm_heads_m5_nonzero")), MapsUnderTest.Strongest(scored, 5));
    }

    [Fact]
    public void SmolLm2_loses_capitals_with_the_heads_of_the_reference()
    {
        using var golden = JsonDocument.Parse(
            File.ReadAllText(TestData.Shared("reference", "maps", "smollm2", "causal", "country_to_capital_wikidata.json")));
        var root = golden.RootElement;
        var result = HeadAblation.Run(
            ReferenceModels.SmolLm2,
            ReferenceModels.Relation("country_to_capital_wikidata"),
            new AblationOptions { Template = root.GetProperty("template").GetString(), RandomRuns = 0, ControlTasks = 0 });
        Assert.Equal(root.GetProperty("pairs_kept").GetInt32(), result.Prompts);
        Assert.Equal(Heads(root.GetProperty("heads_in_order")), result.Heads);
        RequireSame(result.Accuracies, root.GetProperty("accuracy_after_0_1_2_heads"), 1.01f / result.Prompts);

        var (prompts, targets) = MapsUnderTest.Tokens(
            result.Template, ReferenceModels.Relation("country_to_capital_wikidata"), ReferenceModels.SmolLm2.Tokenizer);
        var meter = new MapsUnderTest.Accuracy(ReferenceModels.SmolLm2, prompts, targets, batchSize: 64);
        foreach (var run in root.GetProperty("random_runs").EnumerateArray().Take(2))
        {
            RequireSame(meter, run.GetProperty("heads"), run.GetProperty("accuracy"), 1.01f / result.Prompts);
        }
    }

    [Fact]
    public void The_demo_model_needs_its_heads_more_than_random_ones()
    {
        using var model = Model.Load("demo");
        var options = new AblationOptions { Heads = 3, RandomRuns = 3, ControlTasks = 2, Seed = 4 };
        var result = HeadAblation.Run(model, Relations.CountryToCapital, options);
        Assert.Equal(Relations.CountryToCapital.Prompt, result.Template);
        Assert.Equal(3, result.Heads.Count);
        Assert.Equal(4, result.Accuracies.Count);
        Assert.True(result.BaseAccuracy > 0.9, $"{result}");
        Assert.True(result.Accuracies[^1] < result.BaseAccuracy, $"{result}");
        Assert.Equal(3, result.RandomRuns.Count);
        Assert.All(result.RandomRuns, r => Assert.Empty(r.Heads.Intersect(result.Heads)));
        Assert.NotEqual(result.RandomRuns[0].Heads, result.RandomRuns[1].Heads);
        var again = HeadAblation.Run(model, Relations.CountryToCapital, options with { BatchSize = 9 });
        Assert.Equal(result.ToJson(), again.ToJson());
        var mean = HeadAblation.Run(model, Relations.CountryToCapital, options with { Mean = true, RandomRuns = 0, ControlTasks = 0 });
        Assert.Equal(result.BaseAccuracy, mean.BaseAccuracy);
        Assert.True(mean.Mean);
        var lines = result.ToCsv().TrimEnd('\n').Split('\n');
        Assert.Equal("run,heads_ablated,last_head,accuracy", lines[0]);
        Assert.Equal(1 + (4 * (4 + result.Controls.Count(c => c.Accuracies is not null))), lines.Length);
    }

    [Fact]
    public void The_last_token_alone_gives_what_a_full_pass_gives()
    {
        using var model = Model.Load("demo");
        var (prompts, targets) = MapsUnderTest.Tokens("The official language of <X> is", Relations.CountryToLanguage, model.Tokenizer);
        Head[] heads = [new(0, 3), new(1, 2), new(3, 7)];
        var right = prompts.Zip(targets).Count(
            p => ModelUnderTest.LastLogits(model, p.First, heads).Index().MaxBy(l => l.Item).Index == p.Second);
        var meter = new MapsUnderTest.Accuracy(model, prompts, targets, batchSize: 10);
        Assert.Equal(right / (float)targets.Length, meter.Without(heads));
        Assert.Equal(right / (float)targets.Length, meter.Without(heads));
    }

    [Fact]
    public void A_relation_without_a_prompt_is_named()
    {
        using var model = Model.Load("demo");
        var mine = Relations.CountryToCapital with { Name = "mine", Prompt = null };
        var error = Assert.Throws<ArgumentException>(() => HeadAblation.Run(model, mine));
        Assert.Contains("No prompt ships for the relation 'mine'", error.Message, StringComparison.Ordinal);
    }

    private static MapsUnderTest.Accuracy Meter(Model model, string template, JsonElement pairs, int batch) => new(
        model,
        [.. pairs.EnumerateArray().Select(p => template.Replace("<X>", p[0].ToString(), StringComparison.Ordinal).Split(' ').Select(int.Parse).ToArray())],
        [.. pairs.EnumerateArray().Select(p => p[1].GetInt32())],
        batch);

    private static void RequireSame(MapsUnderTest.Accuracy meter, JsonElement heads, JsonElement accuracies, float tolerance) =>
        RequireSame(meter.OneByOne([.. Heads(heads)]), accuracies, tolerance);

    private static void RequireSame(IReadOnlyList<float> found, JsonElement accuracies, float tolerance)
    {
        var expected = accuracies.EnumerateArray().Select(a => (float)a.GetDouble()).ToArray();
        Assert.Equal(expected.Length, found.Count);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], found[i], tolerance);
        }
    }

    private static IEnumerable<Head> Heads(JsonElement heads) => heads.EnumerateArray().Select(h => new Head(h[0].GetInt32(), h[1].GetInt32()));
}
