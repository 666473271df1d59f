using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>
/// A forward pass straight from the definitions, in fp64, one loop for each sum: slow, and independent of what it checks. It reads the configuration
/// and the tensor names of the Hugging Face hub.
/// </summary>
internal sealed class PlainTransformer
{
    private readonly Dictionary<string, NumberArray> weights;
    private readonly JsonElement config;
    private readonly string family;
    private readonly int heads, keyHeads, headWidth, layers, rotary;
    private readonly double epsilon;
    private readonly Dictionary<string, double[]> found = [];

    public PlainTransformer(JsonElement config, IEnumerable<KeyValuePair<string, NumberArray>> weights)
    {
        this.config = config;
        family = config.GetProperty("model_type").GetString()!;
        var prefix = family switch { "gpt2" => "transformer.", "gpt_neox" => "gpt_neox.", _ => "model." };
        this.weights = weights.ToDictionary(
            w => w.Key.StartsWith(prefix, StringComparison.Ordinal) ? w.Key[prefix.Length..] : w.Key, w => w.Value);
        heads = (int)Number("num_attention_heads", Number("n_head", 0));
        keyHeads = (int)Number("num_key_value_heads", heads);
        layers = (int)Number("num_hidden_layers", Number("n_layer", 0));
        headWidth = (int)Number("head_dim", Math.Floor(Number("hidden_size", Number("n_embd", 0)) / heads));
        rotary = (int)(headWidth * family switch
        {
            "gpt2" => 0,
            "gpt_neox" => Number("rotary_pct", 0.25),
            "phi" => Number("partial_rotary_factor", 0.5),
            _ => 1,
        });
        epsilon = family switch
        {
            "gpt2" => Number("layer_norm_epsilon", 1e-5),
            "gpt_neox" or "phi" => Number("layer_norm_eps", 1e-5),
            _ => Number("rms_norm_eps", 1e-6),
        };
    }

    /// <summary>The logits, [T, V], as <c>logits</c>, and of each layer <c>hook_resid_post</c> and the heads' <c>hook_q</c>, <c>hook_k</c>,
    /// <c>hook_v</c>, <c>hook_pattern</c> and <c>hook_z</c>, all as TransformerLens shapes them without the batch.</summary>
    public IReadOnlyDictionary<string, double[]> Run(int[] tokens)
    {
        found.Clear();
        var embedding = family switch { "gpt2" => "wte", "gpt_neox" => "embed_in", _ => "embed_tokens" };
        var x = tokens.Select((token, t) => Sum(Row(embedding, token), family == "gpt2" ? Row("wpe", t) : null)).ToArray();
        for (var layer = 0; layer < layers; layer++)
        {
            x = Block(layer, x);
            found[$"blocks.{layer}.hook_resid_post"] = [.. x.SelectMany(row => row)];
        }

        var last = family switch { "gpt2" => "ln_f", "gpt_neox" => "final_layer_norm", "phi" => "final_layernorm", _ => "norm" };
        var unembedding = family == "gpt_neox" ? "embed_out" : weights.ContainsKey("lm_head.weight") ? "lm_head" : embedding;
        found["logits"] = [.. x.SelectMany(row => Linear(Norm(row, last), unembedding))];
        return found;
    }

    private double[][] Block(int layer, double[][] x)
    {
        var start = $"{(family == "gpt2" ? "h" : "layers")}.{layer}.";
        var (first, second) = family == "gpt2" ? ("ln_1", "ln_2") : ("input_layernorm", "post_attention_layernorm");
        var normalized = x.Select(row => Norm(row, start + first)).ToArray();
        var attention = Attention(layer, start, normalized);
        if (family == "phi" || (family == "gpt_neox" && Flag("use_parallel_residual", true)))
        {
            return [.. x.Select((row, t) => Sum(
                Sum(row, attention[t]), Mlp(start, family == "phi" ? normalized[t] : Norm(row, start + second))))];
        }

        return
        [
            .. x.Select((row, t) =>
            {
                var middle = Sum(row, attention[t]);
                return Sum(middle, Mlp(start, Norm(middle, start + second)));
            }),
        ];
    }

    private double[][] Attention(int layer, string start, double[][] x)
    {
        var (length, d) = (x.Length, headWidth);
        var (q, k, v) = (new double[length][][], new double[length][][], new double[length][][]);
        for (var t = 0; t < length; t++)
        {
            switch (family)
            {
                case "gpt2":
                    // All queries, all keys, all values.
                    var three = Linear(x[t], start + "attn.c_attn").Chunk(d).Chunk(heads).ToArray();
                    (q[t], k[t], v[t]) = (three[0], three[1], three[2]);
                    break;
                case "gpt_neox":
                    // Query, key and value of head 0, of head 1 …
                    var fused = Linear(x[t], start + "attention.query_key_value").Chunk(d).Chunk(3).ToArray();
                    (q[t], k[t], v[t]) = ([.. fused.Select(h => h[0])], [.. fused.Select(h => h[1])], [.. fused.Select(h => h[2])]);
                    break;
                default:
                    q[t] = [.. Linear(x[t], start + "self_attn.q_proj").Chunk(d)];
                    k[t] = [.. Linear(x[t], start + "self_attn.k_proj").Chunk(d)];
                    v[t] = [.. Linear(x[t], start + "self_attn.v_proj").Chunk(d)];
                    break;
            }
        }

        Keep("q", q.SelectMany(row => row.SelectMany(h => h)));
        Keep("k", k.SelectMany(row => row.SelectMany(h => h)));
        Keep("v", v.SelectMany(row => row.SelectMany(h => h)));
        var z = x.Select(_ => new double[heads * d]).ToArray();
        var patterns = new List<double>();
        for (var head = 0; head < heads; head++)
        {
            // Neighbouring query heads share a key head.
            var shared = head / (heads / keyHeads);
            for (var t = 0; t < length; t++)
            {
                var weight = new double[length];
                for (var s = 0; s <= t; s++)
                {
                    weight[s] = Math.Exp(Dot(Rotate(q[t][head], t), Rotate(k[s][shared], s)) / Math.Sqrt(d));
                }

                var total = weight.Sum();
                for (var s = 0; s <= t; s++)
                {
                    weight[s] /= total;
                    for (var i = 0; i < d; i++)
                    {
                        z[t][(head * d) + i] += weight[s] * v[s][shared][i];
                    }
                }

                patterns.AddRange(weight);
            }
        }

        Keep("pattern", patterns);
        Keep("z", z.SelectMany(row => row));
        var output = family switch { "gpt2" => "attn.c_proj", "gpt_neox" => "attention.dense", "phi" => "self_attn.dense", _ => "self_attn.o_proj" };
        return [.. z.Select(row => Linear(row, start + output))];

        void Keep(string name, IEnumerable<double> values) => found[$"blocks.{layer}.attn.hook_{name}"] = [.. values];
    }

    private double[] Mlp(string start, double[] x)
    {
        if (weights.ContainsKey(start + "mlp.gate_proj.weight"))
        {
            var up = Linear(x, start + "mlp.up_proj");
            return Linear([.. Linear(x, start + "mlp.gate_proj").Select((g, i) => g / (1 + Math.Exp(-g)) * up[i])], start + "mlp.down_proj");
        }

        var (first, second) = family switch
        {
            "gpt2" => ("mlp.c_fc", "mlp.c_proj"),
            "gpt_neox" => ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
            _ => ("mlp.fc1", "mlp.fc2"),
        };
        return Linear([.. Linear(x, start + first).Select(a => family == "gpt_neox" ? Gelu(a) : GeluTanh(a))], start + second);
    }

    private double[] Norm(double[] x, string name)
    {
        var gain = weights[name + ".weight"].Values;
        var shift = weights.GetValueOrDefault(name + ".bias")?.Values;
        var mean = shift is null ? 0 : x.Average();
        var scale = Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + epsilon);
        return [.. x.Select((v, i) => ((v - mean) / scale * gain[i]) + (shift?[i] ?? 0))];
    }

    // Weights are [out, in], but those of GPT-2's blocks [in, out].
    private double[] Linear(double[] x, string name)
    {
        var weight = weights[name + ".weight"];
        var inFirst = family == "gpt2" && name.StartsWith("h.", StringComparison.Ordinal);
        var bias = weights.GetValueOrDefault(name + ".bias");
        return
        [
            .. Enumerable.Range(0, weight.Shape[inFirst ? 1 : 0]).Select(o =>
            {
                var sum = (double)(bias?.Values[o] ?? 0);
                for (var i = 0; i < x.Length; i++)
                {
                    sum += x[i] * (inFirst ? weight[i, o] : weight[o, i]);
                }

                return sum;
            }),
        ];
    }

    // Pairs are dimension i of the first half with i of the second.
    private double[] Rotate(double[] x, int position)
    {
        var y = (double[])x.Clone();
        for (var i = 0; i < rotary / 2; i++)
        {
            var angle = position * Frequency(i);
            var (a, b) = (x[i], x[i + (rotary / 2)]);
            y[i] = (a * Math.Cos(angle)) - (b * Math.Sin(angle));
            y[i + (rotary / 2)] = (b * Math.Cos(angle)) + (a * Math.Sin(angle));
        }

        return y;
    }

    private double Frequency(int pair)
    {
        var w = Math.Pow(Number("rope_theta", Number("rotary_emb_base", 10000)), -2.0 * pair / rotary);
        if (!config.TryGetProperty("rope_scaling", out var scaling) || scaling.ValueKind != JsonValueKind.Object)
        {
            return w;
        }

        // Llama 3.1: long waves are divided, short ones stay, those between are blended.
        double Of(string name) => scaling.GetProperty(name).GetDouble();
        var turns = Of("original_max_position_embeddings") * w / (2 * Math.PI);
        var share = Math.Clamp((turns - Of("low_freq_factor")) / (Of("high_freq_factor") - Of("low_freq_factor")), 0, 1);
        return (share * w) + ((1 - share) * w / Of("factor"));
    }

    private static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x))));

    private static double Gelu(double x) => 0.5 * x * (1 + MathNet.Numerics.SpecialFunctions.Erf(x / Math.Sqrt(2)));

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double[] Sum(double[] a, double[]? b) => b is null ? a : [.. a.Zip(b, (x, y) => x + y)];

    private double[] Row(string name, int row) => Array.ConvertAll(weights[name + ".weight"].Row(row), v => (double)v);

    private double Number(string name, double otherwise) =>
        config.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : otherwise;

    private bool Flag(string name, bool otherwise) => config.TryGetProperty(name, out var value) ? value.GetBoolean() : otherwise;
}
