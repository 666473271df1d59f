using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>
/// Small models of every family where no reference data is: against golden numbers of another implementation for one, kept beside this file, and
/// against a plain forward pass for the rest. With the reference data, that pass is checked itself.
/// </summary>
public sealed class GoldenModelTests : IDisposable
{
    private const string Gpt2 = """
        "model_type":"gpt2","n_embd":24,"n_head":4,"n_layer":2,"n_positions":32,"n_ctx":32,"vocab_size":40,"activation_function":"gelu_new"
        """;

    private const string NeoX = """
        "model_type":"gpt_neox","hidden_size":32,"num_attention_heads":2,"num_hidden_layers":2,"intermediate_size":40,"vocab_size":40,
        "max_position_embeddings":32,"hidden_act":"gelu"
        """;

    private const string Llama = """
        "model_type":"llama","hidden_size":24,"num_hidden_layers":2,"intermediate_size":40,"vocab_size":40,"max_position_embeddings":32,
        "hidden_act":"silu","tie_word_embeddings":false
        """;

    private const string Qwen2 = """
        "model_type":"qwen2","hidden_size":24,"num_attention_heads":4,"num_key_value_heads":2,"num_hidden_layers":2,"intermediate_size":40,
        "vocab_size":40,"max_position_embeddings":32,"hidden_act":"silu","tie_word_embeddings":true
        """;

    private const string Phi = """
        "model_type":"phi","hidden_size":40,"num_attention_heads":4,"num_hidden_layers":2,"intermediate_size":56,"vocab_size":40,
        "max_position_embeddings":32,"hidden_act":"gelu_new","tie_word_embeddings":false
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    /// <summary>Configurations, and the scale of the embeddings: small ones make the norm's epsilon count.</summary>
    public static TheoryData<string, string, double> Cases => new()
    {
        { "GPT-2", Gpt2, 1 },
        { "GPT-2, its epsilon left out", Gpt2, 0.01 },
        { "GPT-2, its own epsilon", Gpt2 + ",\"layer_norm_epsilon\":1e-4", 0.01 },
        { "GPT-NeoX, parallel", NeoX + ",\"rotary_pct\":0.25", 1 },
        { "GPT-NeoX, sequential, its own base", NeoX + ",\"rotary_pct\":1,\"rotary_emb_base\":500,\"use_parallel_residual\":false", 1 },
        { "GPT-NeoX, its epsilon left out", NeoX + ",\"rotary_pct\":0.5", 0.01 },
        { "GPT-NeoX, its own epsilon", NeoX + ",\"rotary_pct\":0.5,\"layer_norm_eps\":1e-3", 0.01 },
        { "Llama, 6 heads read 3", Llama + ",\"num_attention_heads\":6,\"num_key_value_heads\":3,\"head_dim\":8", 1 },
        { "Llama, 6 heads read 2", Llama + ",\"num_attention_heads\":6,\"num_key_value_heads\":2,\"rope_theta\":500", 1 },
        { "Llama, 4 heads read 1", Llama + ",\"num_attention_heads\":4,\"num_key_value_heads\":1", 1 },
        { "Llama, heads of their own", Llama + ",\"num_attention_heads\":4", 1 },
        { "Llama, its epsilon left out", Llama + ",\"num_attention_heads\":4", 0.003 },
        { "Llama, its own epsilon", Llama + ",\"num_attention_heads\":4,\"rms_norm_eps\":1e-4", 0.01 },
        { "Llama 3.1", Llama + """
            ,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":12,"rope_theta":500000,"rope_scaling":{"rope_type":"llama3","factor":8.0,
            "low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":24}
            """, 1 },
        { "Qwen2", Qwen2 + ",\"rope_theta\":1000000", 1 },
        { "Phi", Phi + ",\"partial_rotary_factor\":0.4,\"rope_theta\":10000", 1 },
    };

    public static TheoryData<string> References =>
        ["gpt2", "gpt2-hub-names", "gpt2-f16", "gpt_neox-parallel", "gpt_neox-sequential", "phi", "llama", "llama-tied", "llama-bf16", "qwen2"];

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_Llama_with_grouped_heads_gives_the_golden_numbers()
    {
        var path = Path.Combine(TestData.Repository, "tests", "HeadScope.Tests", "Golden", "llama");
        var golden = GoldenFile.Open(path, "expected.safetensors");
        using var model = Model.Load(path);
        string[] names = [.. golden.Names.Where(name => name.StartsWith("blocks", StringComparison.Ordinal))];
        Assert.Equal(8, names.Length);
        var found = ModelUnderTest.Run(model, golden.Batch(), names);
        foreach (var name in names)
        {
            Assert.Equal(golden.Shape(name), found[name].Shape);
            AssertClose(name, golden.Values(name), found[name].Values, null);
        }

        AssertClose("logits", golden.Values("logits"), found["logits"].Values, 5e-5);
        AssertClose("logits where nothing is kept", golden.Values("logits"), ModelUnderTest.Run(model, golden.Batch())["logits"].Values, 5e-5);

        // Heads 0 and 1 read one W_V, heads 2 and 3 the other; stored as [out, in].
        var stored = GoldenFile.Open(path, "model.safetensors").Numbers("model.layers.1.self_attn.v_proj.weight");
        foreach (var head in (int[])[0, 1, 2, 3])
        {
            var value = ModelUnderTest.ValueWeight(model, new(1, head));
            Assert.Equal([32, 8], value.Shape);
            Assert.Equal(stored[((head / 2) * 8) + 3, 5], value[5, 3]);
        }
    }

    [Fact]
    public void A_GGUF_file_without_a_rotary_base_takes_10000()
    {
        var weights = Weights(Json(Qwen2), 1);
        var gguf = new GgufBytes().Entry("general.architecture", 8, GgufBytes.Text("qwen2"))
            .Entry("qwen2.attention.layer_norm_rms_epsilon", 6, BitConverter.GetBytes(1e-6f));
        foreach (var (key, value) in new (string, uint)[]
        {
            ("block_count", 2), ("context_length", 32), ("embedding_length", 24), ("feed_forward_length", 40), ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        })
        {
            gguf.Entry($"qwen2.{key}", 4, BitConverter.GetBytes(value));
        }

        (string Hub, string Gguf)[] names =
        [
            ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("model.layers", "blk"), ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"), ("self_attn.o_proj", "attn_output"), ("self_attn.", "attn_"), ("mlp.", "ffn_"), ("_proj", ""),
        ];
        foreach (var (name, tensor) in weights)
        {
            gguf.Tensor(
                names.Aggregate(name, (n, pair) => n.Replace(pair.Hub, pair.Gguf, StringComparison.Ordinal)), 0,
                [.. tensor.Shape.Reverse().Select(length => (long)length)], [.. tensor.Values.SelectMany(BitConverter.GetBytes)]);
        }

        var path = Path.Combine(folder, "model.gguf");
        File.WriteAllBytes(path, gguf.ToArray());
        using var model = Model.Load(path);
        int[] tokens = [3, 17, 0, 39, 17, 8];
        float[] expected = [.. new PlainTransformer(Json(Qwen2), weights).Run(tokens)["logits"].Select(v => (float)v)];
        AssertClose("logits", expected, ModelUnderTest.Run(model, [tokens])["logits"].Values, null);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_model_of_each_family_gives_the_numbers_of_the_plain_pass(string name, string config, double embeddingScale)
    {
        Assert.NotEmpty(name);
        var weights = Weights(Json(config), embeddingScale);
        File.WriteAllText(Path.Combine(folder, "config.json"), $"{{{config}}}");
        GoldenFile.Write(Path.Combine(folder, "model.safetensors"), weights);
        using var model = Model.Load(folder);
        int[] tokens = [3, 17, 0, 39, 17, 8, 25, 3, 11, 30];
        var expected = new PlainTransformer(Json(config), weights).Run(tokens);
        string[] names = [.. expected.Keys.Where(n => n != "logits")];
        var found = ModelUnderTest.Run(model, [tokens], names);
        Assert.Equal(names.Length + 1, found.Count);
        foreach (var (activation, values) in expected)
        {
            AssertClose(activation, Array.ConvertAll(values, v => (float)v), found[activation].Values, null);
        }
    }

    [Theory]
    [MemberData(nameof(References))]
    public void The_plain_pass_gives_the_numbers_of_the_reference(string name)
    {
        var path = TestData.Shared("reference", "models", name);
        var (weights, golden) = (GoldenFile.Open(path, "model.safetensors"), GoldenFile.Open(path, "expected.safetensors"));
        var plain = new PlainTransformer(
            Json(File.ReadAllText(Path.Combine(path, "config.json")).Trim()[1..^1]), weights.Names.ToDictionary(n => n, weights.Numbers));
        var found = golden.Batch().Select(tokens => plain.Run(tokens).ToDictionary()).ToArray();
        foreach (var activation in found[0].Keys)
        {
            float[] values = [.. found.SelectMany(row => row[activation]).Select(v => (float)v)];
            AssertClose(activation, golden.Values(activation), values, activation == "logits" ? 5e-5 : null);
        }
    }

    private static JsonElement Json(string fields) => JsonElement.Parse($"{{{fields}}}");

    // The tensors of a family, at random: norms near 1, the rest so that scores and logits are of the size of real ones.
    private static Dictionary<string, NumberArray> Weights(JsonElement config, double embeddingScale)
    {
        int Number(string name, int otherwise) => config.TryGetProperty(name, out var value) ? value.GetInt32() : otherwise;
        var family = config.GetProperty("model_type").GetString()!;
        var (d, vocabulary) = (Number("hidden_size", Number("n_embd", 0)), Number("vocab_size", 0));
        var (heads, f) = (Number("num_attention_heads", Number("n_head", 0)), Number("intermediate_size", 4 * d));
        var (width, keys) = (Number("head_dim", d / heads), Number("num_key_value_heads", heads));
        var random = new Random(5);
        var weights = new Dictionary<string, NumberArray>();
        var layers = Enumerable.Range(0, 2).ToArray();
        switch (family)
        {
            case "gpt2":
                Add("transformer.wte.weight", vocabulary, d);
                Add("transformer.wpe.weight", Number("n_positions", 0), d);
                NormOf("transformer.ln_f");
                foreach (var start in layers.Select(l => $"transformer.h.{l}."))
                {
                    NormOf(start + "ln_1");
                    NormOf(start + "ln_2");
                    Linear(start + "attn.c_attn", d, 3 * d, biasOf: 3 * d);
                    Linear(start + "attn.c_proj", d, d, biasOf: d);
                    Linear(start + "mlp.c_fc", d, f, biasOf: f);
                    Linear(start + "mlp.c_proj", f, d, biasOf: d);
                }

                break;
            case "gpt_neox":
                Add("gpt_neox.embed_in.weight", vocabulary, d);
                Add("embed_out.weight", vocabulary, d);
                NormOf("gpt_neox.final_layer_norm");
                foreach (var start in layers.Select(l => $"gpt_neox.layers.{l}."))
                {
                    NormOf(start + "input_layernorm");
                    NormOf(start + "post_attention_layernorm");
                    Linear(start + "attention.query_key_value", 3 * d, d, biasOf: 3 * d);
                    Linear(start + "attention.dense", d, d, biasOf: d);
                    Linear(start + "mlp.dense_h_to_4h", f, d, biasOf: f);
                    Linear(start + "mlp.dense_4h_to_h", d, f, biasOf: d);
                }

                break;
            default:
                var (phi, qwen) = (family == "phi", family == "qwen2");
                Add("model.embed_tokens.weight", vocabulary, d);
                NormOf(phi ? "model.final_layernorm" : "model.norm", bias: phi);
                if (!qwen)
                {
                    Linear("lm_head", vocabulary, d, phi ? vocabulary : 0);
                }

                foreach (var start in layers.Select(l => $"model.layers.{l}."))
                {
                    NormOf(start + "input_layernorm", bias: phi);
                    Linear(start + "self_attn.q_proj", heads * width, d, phi || qwen ? heads * width : 0);
                    Linear(start + "self_attn.k_proj", keys * width, d, phi || qwen ? keys * width : 0);
                    Linear(start + "self_attn.v_proj", keys * width, d, phi || qwen ? keys * width : 0);
                    if (phi)
                    {
                        Linear(start + "self_attn.dense", d, d, biasOf: d);
                        Linear(start + "mlp.fc1", f, d, biasOf: f);
                        Linear(start + "mlp.fc2", d, f, biasOf: d);
                        continue;
                    }

                    NormOf(start + "post_attention_layernorm", bias: false);
                    Linear(start + "self_attn.o_proj", d, heads * width);
                    Linear(start + "mlp.gate_proj", f, d);
                    Linear(start + "mlp.up_proj", f, d);
                    Linear(start + "mlp.down_proj", d, f);
                }

                break;
        }

        return weights;

        void Add(string name, params int[] shape) => weights[name] = new(
            [.. Enumerable.Range(0, shape.Aggregate(1, (a, b) => a * b)).Select(_ => (float)((random.NextDouble() - 0.5) * Scale(name)))], shape);

        // Small embeddings stay small in the first norm only if what the norm reads is nothing else.
        double Scale(string name) => name.Contains("wte", StringComparison.Ordinal) || name.Contains("wpe", StringComparison.Ordinal)
            || name.Contains("embed_", StringComparison.Ordinal) ? (name == "embed_out.weight" ? 1 : 2 * embeddingScale) : 1;

        void Linear(string name, int rows, int columns, int biasOf = 0)
        {
            Add(name + ".weight", rows, columns);
            if (biasOf > 0)
            {
                Add(name + ".bias", biasOf);
            }
        }

        void NormOf(string name, bool bias = true)
        {
            Linear(name, 1, d, bias ? d : 0);
            weights[name + ".weight"] = new([.. weights[name + ".weight"].Values.Select(v => v + 1)], [d]);
        }
    }

    private static void AssertClose(string name, float[] expected, float[] found, double? tolerance)
    {
        Assert.Equal(expected.Length, found.Length);
        var limit = tolerance ?? (1e-5 * expected.Max(Math.Abs));
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs((double)expected[i] - found[i]) <= limit, $"{name}[{i}] is {found[i]}, expected {expected[i]} within {limit:g3}.");
        }
    }
}
