using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>Against plain loops that patch one activation in one run.</summary>
public sealed class ActivationPatchingTests
{
    private const string Clean = "When Anna and Peter went to the park, Peter gave a ball to", Corrupted = "When Anna and Peter went to the park, Anna gave a ball to";
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    public static TheoryData<string, int> Families => new()
    {
        { "demo", 32 }, { "gpt2", 1 }, { "gpt_neox-parallel", 7 }, { "gpt_neox-sequential", 32 }, { "phi", 1000 }, { "llama", 5 }, { "llama-bf16", 32 }, { "qwen2", 11 },
    };

    [Theory]
    [MemberData(nameof(Families))]
    public void Every_patch_recovers_what_a_run_of_its_own_does(string name, int batchSize)
    {
        using var scope = NewDisposeScope();
        using var model = Model.Load(name == "demo" ? name : TestData.Shared("reference", "models", name));
        var (clean, corrupted) = Pair(model, 9, 2, 6);
        var result = ActivationPatching.Run(model, clean, corrupted, outputs: true, batchSize);
        AssertPlain(model, clean, corrupted, result, 1e-5);
        Assert.Equal(clean.Tokens.Select(token => model.HasTokenizer ? model.Tokenizer.TokenText(token) : $"#{token}"), result.Tokens);
    }

    [Fact]
    public void Patches_are_right_in_float64_and_as_near_as_bfloat16_allows()
    {
        foreach (var (dtype, tolerance) in new[] { (float64, 1e-12), (bfloat16, 0.05) })
        {
            using var scope = NewDisposeScope();
            using var model = Model.Load(TestData.Shared("reference", "models", "llama"), dtype: dtype);
            var (clean, corrupted) = Pair(model, 9, 2, 6);
            var result = ActivationPatching.Run(model, clean, corrupted, outputs: true);
            Assert.Equal(float64, result.Heads.dtype);
            AssertPlain(model, clean, corrupted, result, tolerance);
        }
    }

    [Theory]
    [InlineData("demo")]
    [InlineData("rotary")]
    [InlineData("parallel")]
    public void The_patch_of_all_that_differs_recovers_everything_and_one_of_what_is_the_same_nothing(string name)
    {
        using var scope = NewDisposeScope();
        using var model = TinyModels.Load(name);
        var (clean, corrupted) = Pair(model, 8, 3);
        var first = ActivationPatching.Run(model, clean, corrupted).Residual[0].Values<double>();
        Assert.All(first.Index(), found => Assert.Equal(found.Index == 3 ? 1 : 0, found.Item, 1e-5));

        // Nothing can come back at a position that nothing reads, or before the prompts part.
        var all = ActivationPatching.Run(model, clean, corrupted, outputs: true);
        Assert.Null(ActivationPatching.Run(model, clean, corrupted).MlpOutput);
        Assert.All(all.Residual.narrow(1, 0, 3).Values<double>(), value => Assert.Equal(0, value));
        Assert.All(all.MlpOutput![-1].narrow(0, 0, 7).Values<double>(), value => Assert.Equal(0, value, 1e-5));
        Assert.All(all.AttentionOutput![-1].narrow(0, 0, 3).Values<double>(), value => Assert.Equal(0, value));

        // The other way round the same share of the difference comes back.
        var turned = ActivationPatching.Run(model, clean with { Answer = clean.Distractor, Distractor = clean.Answer }, corrupted);
        Assert.Equal(-all.CleanDifference, turned.CleanDifference, 1e-9);
        Assert.All(all.Heads.Values<double>().Zip(turned.Heads.Values<double>()), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    [Fact]
    public void Texts_are_patched_as_their_tokens_are()
    {
        using var scope = NewDisposeScope();
        var tokenizer = Demo.Value.Tokenizer;
        var result = ActivationPatching.Run(Demo.Value, Clean, Corrupted, " Anna", " Peter");
        var same = ActivationPatching.Run(
            Demo.Value,
            new(tokenizer.Encode(Clean), [], tokenizer.EncodeOrdinary(" Anna").Single(), tokenizer.EncodeOrdinary(" Peter").Single()),
            new(tokenizer.Encode(Corrupted), []));
        Assert.Equal(same.Residual.Values<double>(), result.Residual.Values<double>());
        Assert.Equal((" Anna", " Peter"), (result.Answer, result.Wrong));
        Assert.Equal(" Peter", result.Tokens[result.CorruptedTokens.Index().First(t => t.Item != result.Tokens[t.Index]).Index]);
        Assert.True(result.CleanDifference > 0 && result.CorruptedDifference < 0, $"{result}");
    }

    [Fact]
    public void Two_prompts_of_a_set_are_a_pair()
    {
        using var scope = NewDisposeScope();
        var set = Ioi.Prompts(2, indirectFirst: true).For(Demo.Value).Prompts;
        var (s2, io) = (set[0].PositionOf("S2")!.Value, set[0].Answer!.Value);
        int[] swapped = [.. set[0].Tokens.Select((token, t) => t == s2 ? io : token)];
        var result = ActivationPatching.Run(Demo.Value, set[0], new(swapped, []));
        Assert.Equal(1, result.Residual[0, s2].item<double>(), 1e-5);
    }

    [Fact]
    public void The_table_has_a_line_for_each_patch()
    {
        using var scope = NewDisposeScope();
        var (config, (clean, corrupted)) = (Demo.Value.Config, Pair(Demo.Value, 8, 3));
        var result = ActivationPatching.Run(Demo.Value, clean, corrupted, outputs: true);
        Assert.Equal(config.LayerCount * (config.HeadCount + (3 * 8)), result.Table.Rows.Count);
        var head = result.Table.Rows.First(row => row["activation"] is "attn.hook_z" && row["layer"] is 2 && row["head"] is 1);
        Assert.Equal(result.Heads[2, 1].item<double>(), head["recovered"]);
        Assert.Null(head["position"]);
        var mlp = result.Table.Rows.First(row => row["activation"] is "hook_mlp_out" && row["layer"] is 1 && row["position"] is 4);
        Assert.Equal((result.MlpOutput![1, 4].item<double>(), result.Tokens[4]), (mlp["recovered"], mlp["token"]));
        Assert.Null(mlp["head"]);
        var lines = result.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("activation,layer,position,token,head,recovered", lines[0]);
        Assert.Equal(result.Table.Rows.Count + 1, lines.Length);
    }

    [Fact]
    public void Progress_counts_patches()
    {
        var (clean, corrupted) = Pair(Demo.Value, 8, 3);
        var reports = new Reports();
        ActivationPatching.Run(Demo.Value, clean, corrupted, batchSize: 10, progress: reports);
        var total = Demo.Value.Config.LayerCount * (Demo.Value.Config.HeadCount + 5);
        Assert.Equal([.. Enumerable.Range(0, (total + 9) / 10).Select(i => i * 10L), total], reports.All.Select(report => report.Done));
        Assert.All(reports.All, report => Assert.Equal((total, "patches"), (report.Total, report.Unit)));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        var model = Demo.Value;
        CircuitPrompt clean = new([1, 2, 3], [], 4, 5), other = new([1, 9, 3], []);
        var error = Assert.Throws<ArgumentException>(() => ActivationPatching.Run(model, Clean, "When Anna went to", " Anna", " Peter"));
        Assert.Contains("|When| Anna| and|", "|" + error.Message.Split("Clean: ")[1], StringComparison.Ordinal);
        Assert.Contains("Corrupted: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("'. qed' is not a single token", Message(() => ActivationPatching.Run(model, Clean, Corrupted, ". qed", " Peter")), StringComparison.Ordinal);
        Assert.Contains("'' is not a single token", Message(() => ActivationPatching.Run(model, Clean, Corrupted, " Anna", "")), StringComparison.Ordinal);
        Assert.Contains("with both prompts", Message(() => ActivationPatching.Run(model, clean, clean)), StringComparison.Ordinal);
        Assert.Contains("no answer", Message(() => ActivationPatching.Run(model, other, clean)), StringComparison.Ordinal);
        Assert.Contains("token -1", Message(() => ActivationPatching.Run(model, clean, new([1, -1, 3], []))), StringComparison.Ordinal);
        Assert.Contains("token 99999999", Message(() => ActivationPatching.Run(model, clean with { Answer = 99_999_999 }, other)), StringComparison.Ordinal);
        Assert.Contains("0 tokens", Message(() => ActivationPatching.Run(model, new([], [], 1, 2), other)), StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationPatching.Run(model, clean, other, batchSize: 0));
        Assert.Throws<ArgumentNullException>(() => ActivationPatching.Run(model, clean, null!));
        Assert.Throws<ArgumentNullException>(() => ActivationPatching.Run(model, Clean, null!, " Anna", " Peter"));
        using var silent = TinyModels.Load("rotary");
        Assert.Throws<InvalidOperationException>(() => ActivationPatching.Run(silent, Clean, Corrupted, " Anna", " Peter"));

        static string Message(Action call) => Assert.Throws<ArgumentException>(call).Message;
    }

    // Random tokens, of which some differ, and the two whose logits part most.
    private static (CircuitPrompt Clean, CircuitPrompt Corrupted) Pair(Model model, int length, params int[] differing)
    {
        using var scope = NewDisposeScope();
        var random = new Random(5);
        int[] clean = [.. Enumerable.Range(0, length).Select(_ => random.Next(model.Config.VocabularySize - 1))];
        int[] corrupted = [.. clean.Select((token, t) => differing.Contains(t) ? token + 1 : token)];
        var logits = model.Run([clean, corrupted], logits: LogitsOf.LastPosition).Logits!.squeeze(1).to(float64);
        var change = logits[0].sub(logits[1]);
        return (new(clean, [], (int)change.argmax().item<long>(), (int)change.argmin().item<long>()), new(corrupted, []));
    }

    private static void AssertPlain(Model model, CircuitPrompt clean, CircuitPrompt corrupted, ActivationPatching result, double tolerance)
    {
        var source = model.Run([.. clean.Tokens], new Hooks().Keep("*"));
        var (best, worst) = (Difference(source), Difference(model.Run([.. corrupted.Tokens])));
        Assert.Equal(best, result.CleanDifference, tolerance * (best - worst));
        Assert.Equal(worst, result.CorruptedDifference, tolerance * (best - worst));
        var (layers, heads, length) = (model.Config.LayerCount, model.Config.HeadCount, clean.Tokens.Count);
        AssertMap("hook_resid_pre", result.Residual, length, (x, t) => x[0, t]);
        AssertMap("attn.hook_z", result.Heads, heads, (x, h) => x[0].select(1, h));
        AssertMap("hook_attn_out", result.AttentionOutput!, length, (x, t) => x[0, t]);
        AssertMap("hook_mlp_out", result.MlpOutput!, length, (x, t) => x[0, t]);

        void AssertMap(string name, Tensor map, int parts, Func<Tensor, int, Tensor> slice)
        {
            Assert.Equal([layers, parts], map.shape);
            for (var layer = 0; layer < layers; layer++)
            {
                for (var part = 0; part < parts; part++)
                {
                    var (place, at) = ($"blocks.{layer}.{name}", part);
                    var patched = Difference(model.Run([.. corrupted.Tokens], new Hooks().Edit(place, x =>
                    {
                        slice(x, at).copy_(slice(source[place], at));
                        return x;
                    })));
                    var (expected, found) = ((patched - worst) / (best - worst), map[layer, part].item<double>());
                    Assert.True(Math.Abs(expected - found) <= tolerance, $"{place}, {part}: {found}, not {expected}");
                }
            }
        }

        double Difference(ForwardPass pass) =>
            pass.Logits![0, -1, clean.Answer!.Value].to(float64).item<double>() - pass.Logits![0, -1, clean.Distractor!.Value].to(float64).item<double>();
    }

    private sealed class Reports : IProgress<WorkProgress>
    {
        public List<WorkProgress> All { get; } = [];

        public void Report(WorkProgress value) => All.Add(value);
    }
}
