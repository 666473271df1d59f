using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>The forward pass against PyTorch: SmolLM2-135M and the demo model, one long prompt, many short ones, generation.</summary>
internal static class ForwardBenchmark
{
    /// <summary>Runs it; the argument is SmolLM2's GGUF file, by default the one of the reference data.</summary>
    public static void Run(string[] arguments)
    {
        var path = arguments is [var given] ? given : Path.Combine(
            Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA")
                ?? throw new ArgumentException("Name SmolLM2's model.gguf, or set HEADSCOPE_TEST_DATA to the folder of the reference data."),
            "models", "smollm2-135m-instruct", "model.gguf");
        using var smol = Model.Load(path);
        using var demo = Model.Load("demo");
        using var peer = Peer.Start("forward.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("PyTorch"));
        Forward(smol, "smollm2", batch: 1, count: 256, LogitsOf.All, keep: false);
        Forward(smol, "smollm2", batch: 64, count: 16, LogitsOf.LastPosition, keep: false);
        Forward(smol, "smollm2", batch: 64, count: 16, LogitsOf.LastPosition, keep: true);
        Forward(demo, "demo", batch: 64, count: 16, LogitsOf.LastPosition, keep: true);
        Forward(demo, "demo", batch: 1, count: 16, LogitsOf.All, keep: false);
        Console.WriteLine(Comparison.Measure(
            "SmolLM2: 32 tokens after 5, with cache", () => smol.Generate([0, 1, 2, 3, 4], 32), peer, "generate smollm2 5 32"));

        void Forward(Model model, string name, int batch, int count, LogitsOf logits, bool keep)
        {
            var tokens = Enumerable.Range(0, batch * count).Select(i => i % model.Config.VocabularySize).Chunk(count).ToArray();
            var hooks = keep ? new Hooks().Keep("blocks.*.attn.hook_pattern", "blocks.*.attn.hook_z") : null;
            var what = string.Create(
                CultureInfo.InvariantCulture,
                $"{name}: {batch} × {count} tokens, logits {logits}{(keep ? ", all patterns and z kept" : "")}");
            var request = string.Create(
                CultureInfo.InvariantCulture,
                $"forward {name} {batch} {count} {(logits == LogitsOf.LastPosition ? 1 : 0)} {(keep ? 1 : 0)}");
            Console.WriteLine(Comparison.Measure(what, () => model.Run(tokens, hooks, logits).Dispose(), peer, request));
        }
    }
}
