using TorchSharp;

namespace HeadScope.Benchmarks;

/// <summary>
/// A model with the shapes of GPT-2 small and random weights, written once to a temporary folder (0.5 GB). Queries and keys are scaled so
/// that heads fire about as often as those of trained models: a logit of the softmax has a standard deviation near 2.
/// </summary>
internal static class RandomGpt2
{
    private const int Layers = 12;
    private const int Width = 768;
    private const int Vocabulary = 50257;
    private const int Context = 1024;

    /// <summary>Loads it; writes it before where it is missing.</summary>
    public static Model Load()
    {
        var folder = Path.Combine(Path.GetTempPath(), "headscope-random-gpt2");
        if (!File.Exists(Path.Combine(folder, "config.json")))
        {
            Directory.CreateDirectory(folder);
            using var scope = torch.NewDisposeScope();
            SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), Tensors());
            File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
                {"model_type":"gpt2","vocab_size":{{Vocabulary}},"n_positions":{{Context}},"n_embd":{{Width}},"n_layer":{{Layers}},"n_head":12,
                 "activation_function":"gelu_new","layer_norm_epsilon":1e-05}
                """);
        }

        return Model.Load(folder);
    }

    private static Dictionary<string, torch.Tensor> Tensors()
    {
        var random = new Random(1);
        var tensors = new Dictionary<string, torch.Tensor>(StringComparer.Ordinal)
        {
            ["wte.weight"] = Normal(0.1, Vocabulary, Width),
            ["wpe.weight"] = Normal(0.05, Context, Width),
            ["ln_f.weight"] = Constant(1, Width),
            ["ln_f.bias"] = Constant(0, Width),
        };
        for (var layer = 0; layer < Layers; layer++)
        {
            var start = $"h.{layer}.";
            var attention = Normal(0.05, Width, 3 * Width);
            tensors[start + "ln_1.weight"] = Constant(1, Width);
            tensors[start + "ln_1.bias"] = Constant(0, Width);
            tensors[start + "attn.c_attn.weight"] = attention;
            tensors[start + "attn.c_attn.bias"] = Normal(0.1, 3 * Width);
            tensors[start + "attn.c_proj.weight"] = Normal(0.004, Width, Width);
            tensors[start + "attn.c_proj.bias"] = Normal(0.01, Width);
            tensors[start + "ln_2.weight"] = Constant(1, Width);
            tensors[start + "ln_2.bias"] = Constant(0, Width);
            tensors[start + "mlp.c_fc.weight"] = Normal(0.03, Width, 4 * Width);
            tensors[start + "mlp.c_fc.bias"] = Normal(0.01, 4 * Width);
            tensors[start + "mlp.c_proj.weight"] = Normal(0.003, 4 * Width, Width);
            tensors[start + "mlp.c_proj.bias"] = Normal(0.01, Width);
        }

        return tensors;

        torch.Tensor Normal(double deviation, params int[] shape)
        {
            var values = new float[shape.Aggregate(1, (a, b) => a * b)];
            for (var i = 0; i < values.Length; i += 2)
            {
                // Box and Muller.
                var radius = deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
                var (sin, cos) = Math.SinCos(2 * Math.PI * random.NextDouble());
                values[i] = (float)(radius * cos);
                if (i + 1 < values.Length)
                {
                    values[i + 1] = (float)(radius * sin);
                }
            }

            return torch.tensor(values, Array.ConvertAll(shape, n => (long)n));
        }

        static torch.Tensor Constant(float value, int length) => torch.full(length, value);
    }
}
