using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Small random models of other families than the demo model, made on the spot.</summary>
internal static class TinyModels
{
    private static readonly Lazy<string> Rotary = new(() => Folder(
        "rotary",
        """
        {"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"num_hidden_layers":2,
         "intermediate_size":40,"vocab_size":50,"max_position_embeddings":64,"hidden_act":"silu","rms_norm_eps":1e-5,
         "tie_word_embeddings":true}
        """,
        LlamaTensors(layers: 2)));

    private static readonly Lazy<string> Parallel = new(() => Folder(
        "parallel",
        """
        {"model_type":"gpt_neox","hidden_size":24,"num_attention_heads":3,"num_hidden_layers":2,"intermediate_size":40,
         "vocab_size":50,"max_position_embeddings":64,"hidden_act":"gelu","rotary_pct":0.5}
        """,
        NeoXTensors(layers: 2)));

    /// <summary>"demo", "rotary" (Llama: RMSNorm, grouped heads, gated MLP) or "parallel" (GPT-NeoX: parallel residual, fused
    /// query/key/value).</summary>
    public static Model Load(string name, torch.ScalarType dtype = torch.ScalarType.Float32, torch.Device? device = null) => Model.Load(name switch
    {
        "rotary" => Rotary.Value,
        "parallel" => Parallel.Value,
        _ => name,
    }, device, dtype);

    /// <summary>The tensors of the "rotary" model.</summary>
    public static Dictionary<string, int[]> LlamaTensors(int layers)
    {
        var shapes = new Dictionary<string, int[]> { ["model.embed_tokens.weight"] = [50, 24], ["model.norm.weight"] = [24] };
        for (var layer = 0; layer < layers; layer++)
        {
            var start = $"model.layers.{layer}.";
            shapes[start + "input_layernorm.weight"] = [24];
            shapes[start + "post_attention_layernorm.weight"] = [24];
            shapes[start + "self_attn.q_proj.weight"] = [32, 24];
            shapes[start + "self_attn.k_proj.weight"] = [16, 24];
            shapes[start + "self_attn.v_proj.weight"] = [16, 24];
            shapes[start + "self_attn.o_proj.weight"] = [24, 32];
            shapes[start + "mlp.gate_proj.weight"] = [40, 24];
            shapes[start + "mlp.up_proj.weight"] = [40, 24];
            shapes[start + "mlp.down_proj.weight"] = [24, 40];
        }

        return shapes;
    }

    /// <summary>Writes a model folder with random weights below the tests' output folder; the name must be used once.</summary>
    public static string Folder(string name, string config, Dictionary<string, int[]> shapes)
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "made-models", name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        var random = new Random(7);
        var tensors = shapes.OrderBy(shape => shape.Key, StringComparer.Ordinal).ToDictionary(
            shape => shape.Key,
            shape =>
            {
                var values = new float[shape.Value.Aggregate(1, (a, b) => a * b)];
                for (var i = 0; i < values.Length; i++)
                {
                    values[i] = ((float)random.NextDouble() - 0.5f) + (shape.Key.Contains("norm.weight") ? 1 : 0);
                }

                return torch.tensor(values, Array.ConvertAll(shape.Value, n => (long)n));
            });
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        return folder;
    }

    private static Dictionary<string, int[]> NeoXTensors(int layers)
    {
        var shapes = new Dictionary<string, int[]>
        {
            ["gpt_neox.embed_in.weight"] = [50, 24],
            ["embed_out.weight"] = [50, 24],
            ["gpt_neox.final_layer_norm.weight"] = [24],
            ["gpt_neox.final_layer_norm.bias"] = [24],
        };
        for (var layer = 0; layer < layers; layer++)
        {
            foreach (var (part, shape) in new (string, int[])[]
            {
                ("input_layernorm", [24]), ("post_attention_layernorm", [24]), ("attention.query_key_value", [72, 24]),
                ("attention.dense", [24, 24]), ("mlp.dense_h_to_4h", [40, 24]), ("mlp.dense_4h_to_h", [24, 40]),
            })
            {
                shapes[$"gpt_neox.layers.{layer}.{part}.weight"] = shape;
                shapes[$"gpt_neox.layers.{layer}.{part}.bias"] = [shape[0]];
            }
        }

        return shapes;
    }
}
