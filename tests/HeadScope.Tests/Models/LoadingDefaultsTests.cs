using System.Runtime.InteropServices;
using System.Text.Json;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>What a configuration states, and what stands for what it does not state, reaches the forward pass.</summary>
public sealed class LoadingDefaultsTests : IDisposable
{
    private const int Width = 8, Vocabulary = 12;

    private static readonly int[] Tokens = [3, 0, 11, 7, 3];

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("gpt2", "", 1e-5)]
    [InlineData("gpt2", "\"layer_norm_epsilon\":1e-3,", 1e-3)]
    [InlineData("gpt_neox", "", 1e-5)]
    [InlineData("gpt_neox", "\"layer_norm_eps\":1e-3,", 1e-3)]
    [InlineData("phi", "", 1e-5)]
    [InlineData("phi", "\"layer_norm_eps\":1e-3,", 1e-3)]
    [InlineData("llama", "", 1e-6)]
    [InlineData("llama", "\"rms_norm_eps\":1e-3,", 1e-3)]
    public void The_epsilon_of_a_norm_is_the_stated_one_or_the_family_s_own(string family, string stated, double epsilon)
    {
        // Blocks that add nothing: the logits are the unembedded norm of the embedding, whose variance is as small as the epsilons.
        var random = new Random(3);
        var (names, config) = Family(family);
        var tensors = names.ToDictionary(
            name => name.Key,
            name => name.Key.Contains(".0.") || name.Key == "wpe.weight" ? new float[Count(name.Value)] : Numbers(random, Count(name.Value), 1));
        tensors[names.Keys.First(name => name.Contains("wte") || name.Contains("embed_in") || name.Contains("embed_tokens"))] =
            Numbers(random, Vocabulary * Width, 0.003);
        File.WriteAllText(folder["config.json"], $"{{{stated}{config}}}");
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(folder["model.safetensors"], tensors.ToDictionary(
            tensor => tensor.Key, tensor => torch.tensor(tensor.Value, [.. names[tensor.Key].Select(length => (long)length)])));
        using var model = Model.Load(folder.Path);
        var found = Logits(model);
        var key = family switch { "gpt2" => "layer_norm_epsilon", "llama" => "rms_norm_eps", _ => "layer_norm_eps" };
        using var explicitly = JsonDocument.Parse(FormattableString.Invariant($"{{\"{key}\":{epsilon},{config}}}"));
        var expected = new PlainTransformer(
            explicitly.RootElement, tensors.Select(tensor => KeyValuePair.Create(tensor.Key, new NumberArray(tensor.Value, names[tensor.Key])))).Run(Tokens)["logits"];
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], found[i], 1e-4 * Math.Max(1, Math.Abs(expected[i])));
        }
    }

    [Fact]
    public void A_gguf_file_without_a_rotary_base_has_10000()
    {
        var absent = Logits(Gguf("absent.gguf", frequencyBase: null));
        Assert.Equal(Logits(Gguf("stated.gguf", 10000)), absent);
        Assert.NotEqual(Logits(Gguf("other.gguf", 500000)), absent);
    }

    [Theory]
    [InlineData("Smollm2 135M", "Smollm2 135M")]
    [InlineData(" ", "model")]
    [InlineData("two\nlines", "model")]
    [InlineData("\u001b[2Jcleared", "model")]
    [InlineData(null, "model")]
    public void A_gguf_file_is_called_what_it_calls_itself(string? own, string expected)
    {
        using var model = Gguf("model.gguf", null, own);
        Assert.Equal(expected, model.Name);
    }

    private Model Gguf(string name, float? frequencyBase, string? own = null)
    {
        var random = new Random(5);
        var file = new GgufBytes().Entry("general.architecture", 8, GgufBytes.Text("llama"));
        if (own is not null)
        {
            file.Entry("general.name", 8, GgufBytes.Text(own));
        }

        foreach (var (key, value) in new[] { ("block_count", 1), ("context_length", 16), ("embedding_length", Width), ("feed_forward_length", 16), ("attention.head_count", 2) })
        {
            file.Entry("llama." + key, 4, BitConverter.GetBytes(value));
        }

        file.Entry("llama.attention.layer_norm_rms_epsilon", 6, BitConverter.GetBytes(1e-5f));
        if (frequencyBase is { } given)
        {
            file.Entry("llama.rope.freq_base", 6, BitConverter.GetBytes(given));
        }

        foreach (var (tensor, rows, columns) in new[]
        {
            ("token_embd", Vocabulary, Width), ("output_norm", 1, Width), ("output", Vocabulary, Width), ("blk.0.attn_norm", 1, Width),
            ("blk.0.attn_q", Width, Width), ("blk.0.attn_k", Width, Width), ("blk.0.attn_v", Width, Width), ("blk.0.attn_output", Width, Width),
            ("blk.0.ffn_norm", 1, Width), ("blk.0.ffn_gate", 16, Width), ("blk.0.ffn_up", 16, Width), ("blk.0.ffn_down", Width, 16),
        })
        {
            file.Tensor(tensor + ".weight", 0, rows == 1 ? [columns] : [columns, rows], MemoryMarshal.AsBytes(Numbers(random, rows * columns, 1).AsSpan()).ToArray());
        }

        File.WriteAllBytes(folder[name], file.ToArray());
        return Model.Load(folder[name]);
    }

    // Names and shapes of the tensors of a model with one layer, and the rest of its configuration.
    private static (Dictionary<string, int[]> Shapes, string Config) Family(string family)
    {
        const int D = Width, V = Vocabulary, Hidden = 16;
        return family switch
        {
            "gpt2" => (
                With(["wte", "wpe", "h.0.attn.c_attn", "h.0.attn.c_proj", "h.0.mlp.c_fc", "h.0.mlp.c_proj"],
                    [[V, D], [16, D], [D, 3 * D], [D, D], [D, Hidden], [Hidden, D]], ["h.0.ln_1", "h.0.ln_2", "ln_f"],
                    [("h.0.attn.c_attn", 3 * D), ("h.0.attn.c_proj", D), ("h.0.mlp.c_fc", Hidden), ("h.0.mlp.c_proj", D), ("h.0.ln_1", D), ("h.0.ln_2", D), ("ln_f", D)]),
                """ "model_type":"gpt2","n_embd":8,"n_head":2,"n_layer":1,"n_inner":16,"vocab_size":12,"n_positions":16 """),
            "gpt_neox" => (
                With(["gpt_neox.embed_in", "embed_out", Neo("attention.query_key_value"), Neo("attention.dense"), Neo("mlp.dense_h_to_4h"), Neo("mlp.dense_4h_to_h")],
                    [[V, D], [V, D], [3 * D, D], [D, D], [Hidden, D], [D, Hidden]],
                    [Neo("input_layernorm"), Neo("post_attention_layernorm"), "gpt_neox.final_layer_norm"],
                    [(Neo("attention.query_key_value"), 3 * D), (Neo("attention.dense"), D), (Neo("mlp.dense_h_to_4h"), Hidden), (Neo("mlp.dense_4h_to_h"), D),
                        (Neo("input_layernorm"), D), (Neo("post_attention_layernorm"), D), ("gpt_neox.final_layer_norm", D)]),
                """
                "model_type":"gpt_neox","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":16,"vocab_size":12,
                "max_position_embeddings":16,"hidden_act":"gelu","rotary_pct":1.0
                """),
            "phi" => (
                With(["model.embed_tokens", "lm_head", .. Attention(), Layer("self_attn.dense"), Layer("mlp.fc1"), Layer("mlp.fc2")],
                    [[V, D], [V, D], [D, D], [D, D], [D, D], [D, D], [Hidden, D], [D, Hidden]], [Layer("input_layernorm"), "model.final_layernorm"],
                    [("lm_head", V), .. Attention().Select(name => (name, D)), (Layer("self_attn.dense"), D), (Layer("mlp.fc1"), Hidden), (Layer("mlp.fc2"), D),
                        (Layer("input_layernorm"), D), ("model.final_layernorm", D)]),
                """
                "model_type":"phi","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":16,"vocab_size":12,
                "max_position_embeddings":16,"hidden_act":"gelu_new","partial_rotary_factor":0.5
                """),
            _ => (
                With(["model.embed_tokens", "lm_head", .. Attention(), Layer("self_attn.o_proj"), Layer("mlp.gate_proj"), Layer("mlp.up_proj"), Layer("mlp.down_proj")],
                    [[V, D], [V, D], [D, D], [D, D], [D, D], [D, D], [Hidden, D], [Hidden, D], [D, Hidden]],
                    [Layer("input_layernorm"), Layer("post_attention_layernorm"), "model.norm"], []),
                """
                "model_type":"llama","hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":16,"vocab_size":12,
                "max_position_embeddings":16,"hidden_act":"silu","tie_word_embeddings":false
                """),
        };

        static string Neo(string part) => $"gpt_neox.layers.0.{part}";

        static string Layer(string part) => $"model.layers.0.{part}";

        static string[] Attention() => [Layer("self_attn.q_proj"), Layer("self_attn.k_proj"), Layer("self_attn.v_proj")];

        static Dictionary<string, int[]> With(string[] matrices, int[][] shapes, string[] norms, (string Name, int Length)[] biases) => matrices
            .Zip(shapes, (name, shape) => (name + ".weight", shape))
            .Concat(norms.Select(name => (name + ".weight", new[] { D })))
            .Concat(biases.Select(bias => (bias.Name + ".bias", new[] { bias.Length })))
            .ToDictionary();
    }

    private static float[] Logits(Model model)
    {
        using (model)
        {
            return model.Run(Tokens).Logits!.Flat();
        }
    }

    private static int Count(int[] shape) => shape.Aggregate(1, (a, b) => a * b);

    private static float[] Numbers(Random random, int count, double size) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)(size * (random.NextDouble() - 0.5)))];
}
