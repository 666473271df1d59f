using System.Text.Json.Nodes;

namespace HeadScope.Tests;

/// <summary>What is accepted, what is refused, and what a refusal says.</summary>
public class LoadingModelsTests
{
    private const string Llama =
        """
        {"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"num_hidden_layers":2,
         "intermediate_size":40,"vocab_size":50,"max_position_embeddings":64,"hidden_act":"silu","tie_word_embeddings":true}
        """;

    private const string Gpt2 =
        """{"model_type":"gpt2","n_embd":24,"n_head":4,"n_layer":2,"vocab_size":50,"n_positions":64}""";

    [Theory]
    [InlineData(Llama, "model_type", "\"gemma2\"", "the families are gpt2")]
    [InlineData(Llama, "model_type", "null", "(missing)")]
    [InlineData(Llama, "hidden_act", "\"relu\"", "the activations are gelu")]
    [InlineData(Llama, "num_local_experts", "8", "do not have it")]
    [InlineData(Llama, "attn_logit_softcapping", "50.0", "do not have it")]
    [InlineData(Llama, "quantization_config", "{\"bits\":4}", "do not have it")]
    [InlineData(Llama, "rope_scaling", "{\"type\":\"linear\",\"factor\":2.0}", "default and llama3")]
    [InlineData(Llama, "rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":2.0}", "default and llama3")]
    [InlineData(Llama, "rope_parameters", "{\"rope_type\":\"longrope\",\"rope_theta\":1e4}", "default and llama3")]
    [InlineData(Llama, "rope_interleaved", "true", "not neighbours")]
    [InlineData(Gpt2, "activation_function", "\"relu\"", "the activations are gelu")]
    [InlineData(Gpt2, "scale_attn_weights", "false", "root of the head width")]
    [InlineData(Gpt2, "scale_attn_by_inverse_layer_idx", "true", "layer's number")]
    [InlineData(Gpt2, "reorder_and_upcast_attn", "true", "one order")]
    [InlineData(Gpt2, "add_cross_attention", "true", "cross attention")]
    public void Unsupported_features_are_refused_naming_file_key_and_value(string config, string key, string value, string reason)
    {
        var error = Assert.Throws<NotSupportedException>(() => Read(config, key, value));
        Assert.Contains("config.json'", error.Message);
        Assert.Contains(key, error.Message);
        Assert.Contains(value == "null" ? reason : Leaf(value), error.Message);
        Assert.Contains(reason, error.Message);

        // Of an object the refused entry is named.
        static string Leaf(string json) => JsonNode.Parse(json) is JsonObject o && o.ContainsKey("factor")
            ? (o["type"] ?? o["rope_type"])!.ToJsonString() : json.StartsWith('{') ? "" : json;
    }

    [Theory]
    [InlineData("hidden_size", "null", "has no 'hidden_size'")]
    [InlineData("hidden_size", "-3", "'hidden_size' = -3; expected a positive whole number")]
    [InlineData("hidden_size", "\"24\"", "expected a positive whole number")]
    [InlineData("rms_norm_eps", "0", "expected a positive number")]
    [InlineData("tie_word_embeddings", "1", "expected true or false")]
    [InlineData("num_key_value_heads", "3", "'num_key_value_heads' = 3; expected a number that divides the 4 query heads")]
    [InlineData("num_attention_heads", "536870916", "'head_dim' = 8; expected 536870916 heads of a width that with their keys and values fits")]
    [InlineData("head_dim", "7", "an even number")]
    [InlineData("rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":2.0}", "no 'rope_scaling.low_freq_factor'")]
    public void Malformed_configurations_are_named(string key, string value, string reason)
    {
        var error = Assert.Throws<InvalidDataException>(() => Read(Llama, key, value));
        Assert.Contains(reason, error.Message);
    }

    [Theory]
    [InlineData("{\"model_type\":\"\\ud800\"}")]
    [InlineData("{\"model_type\":\"gpt2\",\"\\ud800ctx\":1}")]
    public void Half_a_surrogate_pair_is_no_text(string json)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "config.json");
        File.WriteAllText(path, json);
        Assert.Contains("holds half a surrogate pair", Assert.Throws<InvalidDataException>(() => HuggingFaceConfig.Read(path)).Message);
    }

    [Fact]
    public void Missing_keys_take_their_defaults_and_new_style_keys_are_read()
    {
        var classic = Read(Llama, "num_key_value_heads", "null");
        Assert.Equal(4, classic.KeyValueHeadCount);
        Assert.Equal(new Rotary(8, 10000), classic.Rotary);
        Assert.Equal(1e-6, classic.NormEpsilon);

        var modern = Read(Llama, "rope_parameters", """{"rope_type":"default","rope_theta":500000.0,"partial_rotary_factor":0.5}""");
        Assert.Equal(new Rotary(4, 500000), modern.Rotary);

        var scaled = Read(
            Llama,
            "rope_parameters",
            """
            {"rope_type":"llama3","rope_theta":10000.0,"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
             "original_max_position_embeddings":32}
            """);
        Assert.Equal(1, scaled.Rotary!.FrequencyDivisors![0]);
        Assert.Equal(8, scaled.Rotary.FrequencyDivisors[3]);
    }

    [Fact]
    public void A_sliding_window_bounds_the_context_of_a_Mistral_and_is_refused_elsewhere()
    {
        var mistral = JsonNode.Parse(Llama)!.AsObject();
        mistral["model_type"] = "mistral";
        Assert.Equal(16, Read(mistral.ToJsonString(), "sliding_window", "16").ContextLength);
        Assert.Equal(16, Read(mistral.ToJsonString(), "sliding_window", "16").SlidingWindow);
        Assert.Equal(64, Read(mistral.ToJsonString(), "sliding_window", "null").ContextLength);
        Assert.Null(Read(mistral.ToJsonString(), "sliding_window", "64").SlidingWindow);
        mistral["model_type"] = "qwen2";
        mistral["use_sliding_window"] = false;
        Assert.Equal(64, Read(mistral.ToJsonString(), "sliding_window", "16").ContextLength);
        mistral["use_sliding_window"] = true;
        Assert.Equal(64, Read(mistral.ToJsonString(), "sliding_window", "64").ContextLength);
        var error = Assert.Throws<NotSupportedException>(() => Read(mistral.ToJsonString(), "sliding_window", "16"));
        Assert.Contains("use_sliding_window", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_that_are_missing_misshapen_or_too_many_are_named()
    {
        var shapes = TinyModels.LlamaTensors(layers: 2);
        shapes.Remove("model.layers.1.mlp.up_proj.weight");
        Assert.Contains(
            "no tensor 'model.layers.1.mlp.up_proj.weight'",
            Assert.Throws<InvalidDataException>(() => Model.Load(TinyModels.Folder("missing", Llama, shapes))).Message);

        shapes = TinyModels.LlamaTensors(layers: 2);
        shapes["model.layers.0.self_attn.k_proj.weight"] = [32, 24];
        Assert.Contains(
            "'model.layers.0.self_attn.k_proj.weight' of",
            Assert.Throws<InvalidDataException>(() => Model.Load(TinyModels.Folder("misshapen", Llama, shapes))).Message);

        shapes = TinyModels.LlamaTensors(layers: 2);
        shapes["model.layers.1.self_attn.q_norm.weight"] = [8];
        Assert.Contains(
            "'model.layers.1.self_attn.q_norm.weight'",
            Assert.Throws<NotSupportedException>(() => Model.Load(TinyModels.Folder("too-many", Llama, shapes))).Message);

        Assert.Contains(
            "model.layers.2.",
            Assert.Throws<NotSupportedException>(
                () => Model.Load(TinyModels.Folder("too-deep", Llama, TinyModels.LlamaTensors(layers: 3)))).Message);
    }

    [Fact]
    public void Biases_are_there_when_the_configuration_says_so()
    {
        var shapes = TinyModels.LlamaTensors(layers: 2);
        var config = JsonNode.Parse(Llama)!.AsObject();
        config["attention_bias"] = true;
        Assert.Contains(
            "no tensor 'model.layers.0.self_attn.q_proj.bias'",
            Assert.Throws<InvalidDataException>(
                () => Model.Load(TinyModels.Folder("no-biases", config.ToJsonString(), shapes))).Message);
        for (var layer = 0; layer < 2; layer++)
        {
            foreach (var (map, width) in new[] { ("q", 32), ("k", 16), ("v", 16), ("o", 24) })
            {
                shapes[$"model.layers.{layer}.self_attn.{map}_proj.bias"] = [width];
            }
        }

        using var model = Model.Load(TinyModels.Folder("biases", config.ToJsonString(), shapes));
        Assert.Equal([2, 8], model.Net.Blocks[1].Attention.b_K!.shape);
        Assert.Equal([24], model.Net.Blocks[0].Attention.b_O!.shape);
    }

    private static TransformerConfig Read(string config, string key, string value)
    {
        var json = JsonNode.Parse(config)!.AsObject();
        json[key] = JsonNode.Parse(value);
        var folder = Path.Combine(AppContext.BaseDirectory, "made-models", Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(folder);
        try
        {
            var path = Path.Combine(folder, "config.json");
            File.WriteAllText(path, json.ToJsonString());
            return HuggingFaceConfig.Read(path);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
