using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>Against runs in which the residual stream of a layer is put behind the last one.</summary>
public sealed class LogitLensTests
{
    private const string Text = "When Anna and Peter went to the park, Peter gave a ball to";
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    [Theory]
    [InlineData("demo", 5)]
    [InlineData("gpt2", 1)]
    [InlineData("gpt_neox-parallel", 3)]
    [InlineData("gpt_neox-sequential", 3)]
    [InlineData("phi", 3)]
    [InlineData("llama", 4)]
    [InlineData("llama-bf16", 4)]
    [InlineData("qwen2", 4)]
    public void Each_layer_predicts_what_it_does_in_place_of_the_last(string name, int top)
    {
        using var scope = NewDisposeScope();
        using var model = Model.Load(name == "demo" ? name : TestData.Shared("reference", "models", name));
        AssertPlain(model, Tokens(model, 11), target: 7, top, tolerance: 1e-5);
        AssertPlain(model, Tokens(model, 6), target: null, top, tolerance: 1e-5);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void Each_dtype_is_read_as_the_model_computes_it(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var model = TinyModels.Load("rotary", dtype);
        AssertPlain(model, Tokens(model, 11), target: null, top: 50, tolerance: 1e-5);
    }

    [Fact]
    public void Equal_logits_are_ordered_by_id()
    {
        // In bfloat16 many of a vocabulary's logits are equal.
        using var scope = NewDisposeScope();
        using var model = Model.Load("demo", dtype: bfloat16);
        int[] tokens = [1, 2, 3];
        var found = LogitLens.Of(model, tokens, top: 400).TopTokens[-1, -1].Values<long>();
        var logits = model.Run(tokens).Logits![0, -1].to(float32).Values<float>();
        Assert.True(logits.Distinct().Count() < logits.Length);
        Assert.Equal([.. Enumerable.Range(0, logits.Length).OrderByDescending(i => logits[i]).ThenBy(i => i).Take(400).Select(i => (long)i)], found);
    }

    [Fact]
    public void A_prompt_of_more_rows_than_are_read_at_once_is_read_whole()
    {
        using var scope = NewDisposeScope();
        using var model = Model.Load(TinyModels.Folder(
            "long",
            """
            {"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"num_hidden_layers":2,
             "intermediate_size":40,"vocab_size":50,"max_position_embeddings":400,"hidden_act":"silu","rms_norm_eps":1e-5,"tie_word_embeddings":true}
            """,
            TinyModels.LlamaTensors(layers: 2)));
        AssertPlain(model, Tokens(model, 300), target: null, top: 2, tolerance: 1e-5);
        AssertPlain(model, Tokens(model, 257), target: 3, top: 2, tolerance: 1e-5);
    }

    [Fact]
    public void The_last_layer_is_the_model_and_probabilities_sum_to_1()
    {
        using var scope = NewDisposeScope();
        using var model = TinyModels.Load("parallel");
        var tokens = Tokens(model, 9);
        var lens = LogitLens.Of(model, tokens, top: model.Config.VocabularySize);
        var own = model.Run(tokens).Logits![0];
        Assert.Equal(own.argmax(1).Values<long>(), lens.TopTokens[-1].select(1, 0).Values<long>());
        Assert.Equal(own.argmax(1).Values<long>().Select(token => $"#{token}"), lens.Targets);
        Assert.All(lens.Ranks[-1].Values<long>(), rank => Assert.Equal(1, rank));
        Assert.All(lens.TopProbabilities.sum([2L]).Values<float>(), sum => Assert.Equal(1, sum, 1e-5));
        Assert.Equal(
            lens.Ranks.Values<long>(),
            lens.TopTokens.Values<long>().Chunk(model.Config.VocabularySize).Select((row, i) => Array.IndexOf(row, own.argmax(1).Values<long>()[i % 9]) + 1L));
    }

    [Fact]
    public void Texts_are_read_as_their_tokens_are_and_the_table_has_a_line_for_each_place()
    {
        using var scope = NewDisposeScope();
        var (model, tokens) = (Demo.Value, Demo.Value.Tokenizer.Encode(Text));
        var lens = LogitLens.Of(model, Text, " Anna", top: 2);
        var same = LogitLens.Of(model, tokens, model.Tokenizer.EncodeOrdinary(" Anna").Single(), top: 2);
        Assert.Equal(same.Logits.Values<float>(), lens.Logits.Values<float>());
        Assert.All(lens.Targets, target => Assert.Equal(" Anna", target));
        Assert.Equal(tokens.Select(model.Tokenizer.TokenText), lens.Tokens);
        var rows = lens.Table.Rows;
        Assert.Equal(model.Config.LayerCount * tokens.Length, rows.Count);
        var row = rows.First(r => r["layer"] is 2 && r["position"] is 5);
        Assert.Equal(
            [lens.Tokens[5], " Anna", lens.Logits[2, 5].item<float>(), lens.Probabilities[2, 5].item<float>(), lens.Ranks[2, 5].item<long>()],
            new[] { "token", "target", "logit", "probability", "rank" }.Select(name => row[name]));
        Assert.Equal(
            (model.Tokenizer.TokenText((int)lens.TopTokens[2, 5, 1].item<long>()), lens.TopProbabilities[2, 5, 1].item<float>()), (row["top_2"], row["probability_2"]));
        Assert.StartsWith("layer,position,token,target,logit,probability,rank,top_1,probability_1,top_2,probability_2\n", lens.ToCsv(), StringComparison.Ordinal);
        Assert.Equal("logit lens of demo: 4 layers, 14 tokens, top 2", lens.ToString());
    }

    [Fact]
    public void Bad_input_is_named()
    {
        var model = Demo.Value;
        Assert.Contains("'. qed' is not a single token", Assert.Throws<ArgumentException>(() => LogitLens.Of(model, Text, ". qed")).Message, StringComparison.Ordinal);
        Assert.Contains("no token -3", Assert.Throws<ArgumentException>(() => LogitLens.Of(model, [1, 2], -3)).Message, StringComparison.Ordinal);
        Assert.Contains("no tokens", Assert.Throws<ArgumentException>(() => LogitLens.Of(model, Array.Empty<int>())).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => LogitLens.Of(model, Text, top: 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => LogitLens.Of(model, Text, top: int.MaxValue));
        Assert.Throws<ArgumentNullException>(() => LogitLens.Of(model, (string)null!));
        Assert.Throws<OperationCanceledException>(() => LogitLens.Of(model, Text, cancellationToken: new(canceled: true)));
        using var silent = TinyModels.Load("rotary");
        Assert.Throws<InvalidOperationException>(() => LogitLens.Of(silent, Text));
    }

    private static int[] Tokens(Model model, int count)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabularySize))];
    }

    private static void AssertPlain(Model model, int[] tokens, int? target, int top, double tolerance)
    {
        var last = model.Config.LayerCount - 1;
        var lens = LogitLens.Of(model, tokens, target, top);
        var kept = model.Run(tokens, new Hooks().Keep("blocks.*.hook_resid_post"));
        for (var layer = 0; layer <= last; layer++)
        {
            var stream = kept[$"blocks.{layer}.hook_resid_post"];
            var logits = model.Run(tokens, new Hooks().Edit($"blocks.{last}.hook_resid_post", _ => stream)).Logits![0].to(float32);
            for (var t = 0; t < tokens.Length; t++)
            {
                var row = logits[t].Values<float>();
                var wanted = target ?? (int)kept.Logits![0, t].argmax().item<long>();
                var whole = row.Sum(logit => Math.Exp(logit));
                Near(row[wanted], lens.Logits[layer, t].item<float>(), "logit");
                Near(Math.Exp(row[wanted]) / whole, lens.Probabilities[layer, t].item<float>(), "probability");
                Assert.Equal(1 + row.Count(logit => logit > row[wanted]), lens.Ranks[layer, t].item<long>());
                var best = Enumerable.Range(0, row.Length).OrderByDescending(i => row[i]).ThenBy(i => i).Take(top).Select(i => (long)i).ToArray();
                Assert.Equal(best, lens.TopTokens[layer, t].Values<long>());
                Assert.All(best.Zip(lens.TopProbabilities[layer, t].Values<float>()), pair => Near(Math.Exp(row[pair.First]) / whole, pair.Second, "top probability"));

                void Near(double expected, double found, string what) =>
                    Assert.True(Math.Abs(expected - found) <= tolerance, $"layer {layer}, position {t}, {what}: {found}, not {expected}");
            }
        }
    }
}
