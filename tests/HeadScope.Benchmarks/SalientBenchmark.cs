using System.Globalization;
using TorchSharp;

namespace HeadScope.Benchmarks;

/// <summary>
/// MAPS salient operations of all 144 heads of a model with the shape of GPT-2 small, against PyTorch: as the authors' code does, which
/// applies the first MLP to the vocabulary anew for each head, and with that taken out of the loop.
/// </summary>
internal static class SalientBenchmark
{
    private const int Layers = 12, Width = 768, Mlp = 3072, Vocabulary = 50257;

    /// <summary>Runs it; arguments are how many heads the peer does (4), the time of its loop over heads being scaled up to 144, and
    /// --cpu for the processor seconds of one thread, which a busy machine disturbs less.</summary>
    public static void Run(string[] arguments)
    {
        var processor = arguments.Contains("--cpu", StringComparer.Ordinal);
        Parallelism.Threads = processor ? 1 : Parallelism.Threads;
        var heads = arguments.FirstOrDefault(a => a is not "--cpu") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : 4;
        var folder = Directory.CreateTempSubdirectory("headscope-salient-");
        try
        {
            WriteModel(folder.FullName);
            using var model = Model.Load(folder.FullName);
            using var peer = Peer.Start("maps.py");
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
            Console.WriteLine(Comparison.TableHead("PyTorch"));
            var blocks = processor ? 1 : 3;
            var (ours, official, hoisted) = (new double[blocks], new double[blocks], new double[blocks]);
            for (var block = 0; block < blocks; block++)
            {
                double Peer(int count, int once) => peer.Seconds(string.Create(CultureInfo.InvariantCulture, $"salient gpt2 {count} {once}"), 1, processor);
                void AllHeads() => SalientOperations.Of(model, heads: null);
                ours[block] = processor ? Comparison.ProcessorSeconds(AllHeads, 1) : Comparison.Seconds(AllHeads, 1);
                official[block] = Peer(heads, 0) * Layers * 12 / heads;
                var firstMlp = Peer(0, 1);
                hoisted[block] = firstMlp + ((Peer(heads, 1) - firstMlp) * Layers * 12 / heads);
            }

            Array.ForEach([ours, official, hoisted], Array.Sort);
            Console.WriteLine(new Comparison(
                string.Create(CultureInfo.InvariantCulture, $"shape of GPT-2 small, 144 heads (PyTorch: {heads}, scaled up)"), ours[blocks / 2], official[blocks / 2]));
            Console.WriteLine(new Comparison("the same, first MLP once for all heads in PyTorch too", ours[blocks / 2], hoisted[blocks / 2]));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void WriteModel(string folder)
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), string.Create(CultureInfo.InvariantCulture, $$"""
            {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new", "n_layer": {{Layers}}, "n_head": 12,
             "n_embd": {{Width}}, "n_ctx": 1024, "n_positions": 1024, "vocab_size": {{Vocabulary}}, "layer_norm_epsilon": 1e-05, "tie_word_embeddings": true}
            """));
        var random = new Random(1);
        using var scope = torch.NewDisposeScope();
        var tensors = new Dictionary<string, torch.Tensor>(StringComparer.Ordinal)
        {
            ["wte.weight"] = Numbers(Vocabulary, Width),
            ["wpe.weight"] = Numbers(1024, Width),
            ["ln_f.weight"] = Numbers(Width),
            ["ln_f.bias"] = Numbers(Width),
        };
        for (var layer = 0; layer < Layers; layer++)
        {
            void Add(string name, params int[] shape) => tensors[$"h.{layer}.{name}"] = Numbers(shape);
            Add("ln_1.weight", Width);
            Add("ln_1.bias", Width);
            Add("ln_2.weight", Width);
            Add("ln_2.bias", Width);
            Add("attn.c_attn.weight", Width, 3 * Width);
            Add("attn.c_attn.bias", 3 * Width);
            Add("attn.c_proj.weight", Width, Width);
            Add("attn.c_proj.bias", Width);
            Add("mlp.c_fc.weight", Width, Mlp);
            Add("mlp.c_fc.bias", Mlp);
            Add("mlp.c_proj.weight", Mlp, Width);
            Add("mlp.c_proj.bias", Width);
        }

        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);

        torch.Tensor Numbers(params int[] shape)
        {
            var numbers = new float[shape.Aggregate(1, (a, b) => a * b)];
            foreach (ref var number in numbers.AsSpan())
            {
                number = (random.NextSingle() - 0.5f) * 0.07f;
            }

            return torch.tensor(numbers, Array.ConvertAll(shape, n => (long)n));
        }
    }
}
