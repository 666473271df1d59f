using System.Text.Json;

namespace HeadScope.Tests;

public class HeadAblationTests
{
    // As the demo model has read it.
    private static Relation Capitals => Relations.CountryToCapital with { Prompt = "The capital city of <X> is called" };

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
    public void Options_that_cannot_be_meant_are_refused_before_the_work()
    {
        using var model = Model.Load("demo");
        foreach (var (options, said) in new (AblationOptions, string)[]
        {
            (new() { BatchSize = 0 }, "BatchSize is 0"), (new() { Heads = 0 }, "Heads is 0"), (new() { RandomRuns = -1 }, "RandomRuns is -1"),
            (new() { ControlTasks = -1 }, "ControlTasks is -1"),
            (new() { Controls = [Relations.WordCopying with { Prompt = "no place" }] }, "'no place' is no template"),
        })
        {
            Assert.StartsWith(said, Assert.Throws<ArgumentException>(() => HeadAblation.Run(model, Capitals, options)).Message, StringComparison.Ordinal);
        }

        // A control of which no pair is one token each is left out.
        var far = new Relation("far", "", [("Antidisestablishmentarianism", "Supercalifragilistic")]) { Prompt = "The <X> is" };
        Assert.Empty(HeadAblation.Run(model, Capitals, new() { Heads = 1, RandomRuns = 0, MinimumPairs = 0, Controls = [far] }).Controls);
    }

    [Fact]
    public void The_demo_model_needs_its_heads_more_than_random_ones()
    {
        using var model = Model.Load("demo");
        var options = new AblationOptions { Heads = 3, RandomRuns = 3, ControlTasks = 2, Seed = 4 };
        var result = HeadAblation.Run(model, Capitals, options);
        Assert.Equal(Capitals.Prompt, result.Template);
        Assert.Equal(3, result.Heads.Count);
        Assert.Equal(4, result.Accuracies.Count);
        Assert.True(result.BaseAccuracy > 0.9, $"{result}");
        Assert.True(result.Accuracies[^1] < result.BaseAccuracy, $"{result}");
        Assert.Equal(3, result.RandomRuns.Count);
        Assert.All(result.RandomRuns, r => Assert.Empty(r.Heads.Intersect(result.Heads)));
        Assert.NotEqual(result.RandomRuns[0].Heads, result.RandomRuns[1].Heads);
        var again = HeadAblation.Run(model, Capitals, options with { BatchSize = 9 });
        Assert.Equal(result.ToJson(), again.ToJson());
        var mean = HeadAblation.Run(model, Capitals, options with { Mean = true, RandomRuns = 0, ControlTasks = 0 });
        Assert.Equal(result.BaseAccuracy, mean.BaseAccuracy);
        Assert.True(mean.Mean);
        var lines = result.ToCsv().TrimEnd('\n').Split('\n');
        Assert.Equal("run,heads_ablated,last_head,accuracy", lines[0]);
        Assert.Equal(1 + (4 * (4 + result.Controls.Count(c => c.Accuracies is not null))), lines.Length);
    }

    [Fact]
    public void SmolLm2_takes_the_control_tasks_of_the_reference()
    {
        using var golden = JsonDocument.Parse(
            File.ReadAllText(TestData.Shared("reference", "maps", "smollm2", "causal", "country_to_capital_wikidata.json")));
        Assert.Equal(golden.RootElement.GetProperty("template").GetString(), Relations.CountryToCapital.Prompt);
        var candidates = golden.RootElement.GetProperty("control_candidates").EnumerateArray().ToDictionary(c => c.GetProperty("relation").GetString()!);
        var result = HeadAblation.Run(
            ReferenceModels.SmolLm2,
            ReferenceModels.Relation("country_to_capital_wikidata", golden.RootElement.GetProperty("template").GetString()),
            new AblationOptions
            {
                RandomRuns = 0,
                ControlTasks = candidates.Count,
                Controls = [.. candidates.Select(c => ReferenceModels.Relation(c.Key, c.Value.GetProperty("template").GetString()))],
            });
        Assert.Equal(candidates.Keys.Order(), result.Controls.Select(c => c.Relation).Order());
        Assert.All(result.Controls, control =>
        {
            var candidate = candidates[control.Relation];
            Assert.Equal(candidate.GetProperty("head_intersection").GetDouble(), control.HeadIntersection, 1e-6);
            Assert.Equal(candidate.GetProperty("valid").GetBoolean(), control.Accuracies is not null);
            Assert.Equal(control.HeadIntersection >= 0.15f, float.IsNaN(control.BaseAccuracy));
            if (!float.IsNaN(control.BaseAccuracy))
            {
                Assert.Equal(candidate.GetProperty("base_accuracy").GetDouble(), control.BaseAccuracy, 0.02);
            }
        });
        foreach (var run in golden.RootElement.GetProperty("control_runs").EnumerateArray())
        {
            RequireSame(result.Controls.Single(c => c.Relation == run.GetProperty("relation").GetString()).Accuracies!, run.GetProperty("accuracy"), 1.01f / 235);
        }
    }

    [Fact]
    public void The_seed_draws_the_random_heads()
    {
        using var model = Model.Load("demo");
        IReadOnlyList<Head> Drawn(int seed) => HeadAblation.Run(
            model, Capitals, new AblationOptions { Heads = 4, RandomRuns = 1, ControlTasks = 0, Seed = seed }).RandomRuns[0].Heads;
        Assert.Equal(Drawn(1), Drawn(1));
        Assert.NotEqual(Drawn(1), Drawn(2));
    }

    [Fact]
    public void Mean_ablation_writes_each_head_s_own_mean_over_the_prompts()
    {
        using var model = Model.Load("demo");
        var result = HeadAblation.Run(
            model, Capitals, new AblationOptions { Mean = true, Heads = 10, RandomRuns = 0, ControlTasks = 0, BatchSize = 20 });
        var (prompts, targets) = MapsUnderTest.Tokens(result.Template, Capitals, model.Tokenizer);
        (Head, float[])[] means = [.. result.Heads.Select(head => (head, ModelUnderTest.MeanOutput(model, prompts, head)))];
        float[] expected = [.. Enumerable.Range(0, means.Length + 1).Select(count => prompts.Zip(targets).Count(
            p => ModelUnderTest.LastLogits(model, p.First, means[..count]).Index().MaxBy(l => l.Item).Index == p.Second) / (float)prompts.Count)];
        Assert.Equal(expected, result.Accuracies);
        Assert.True(expected.Distinct().Count() > 3, string.Join(", ", expected));
    }

    [Fact]
    public void A_control_task_qualifies_when_its_accuracy_differs_by_less_than_a_fifth()
    {
        // Whatever the name, the answer is Paris; where Rome is asked for, the accuracy falls by the share of it. No head leads from names there.
        using var model = Model.Load("demo");
        var names = Relations.NameCopying.Pairs;
        Relation Spoilt(double share) => new($"spoilt {share}", "", [.. names.Select((p, i) => (p.Source, i < share * names.Count ? "Rome" : "Paris"))])
        {
            Prompt = "Then <X> said: The capital city of France is called",
        };
        var result = HeadAblation.Run(
            model,
            Capitals,
            new AblationOptions { Heads = 3, RandomRuns = 0, ControlTasks = 9, Controls = [Spoilt(0), Spoilt(0.1), Spoilt(0.35), Spoilt(0.6)] });
        Assert.All(result.Controls, c => Assert.True(c.HeadIntersection < 0.15, $"{c}"));
        Assert.Contains(result.Controls, c => Math.Abs(c.BaseAccuracy - result.BaseAccuracy) is > 0.2f and < 0.5f);
        Assert.Contains(result.Controls, c => c.Accuracies is not null);
        Assert.All(result.Controls, c => Assert.Equal(Math.Abs(c.BaseAccuracy - result.BaseAccuracy) < 0.2, c.Accuracies is not null));
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
        var mine = Capitals with { Name = "mine", Prompt = null };
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
