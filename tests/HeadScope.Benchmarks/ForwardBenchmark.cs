using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope.Benchmarks;

/// <summary>
/// The forward pass and greedy decoding against the same written plainly with TorchSharp, in one process, results compared first; and in
/// tokens a second beside PyTorch where that is installed.
/// </summary>
internal static class ForwardBenchmark
{
    /// <summary>Batch and tokens of each of the rows about the forward pass.</summary>
    private static readonly (string Row, string Model, int Batch, int Count)[] Passes =
    [
        ("smollm2-1x256", "SmolLM2-135M", 1, 256), ("smollm2-8x128", "SmolLM2-135M", 8, 128), ("gpt2-8x256", "GPT-2 small's shape", 8, 256),
    ];

    private static readonly int[] Prompt = [0, 1, 2, 3, 4];

    private const int NewTokens = 64;

    /// <summary>Runs it; arguments are rows such as smollm2-1x256 or decode, none for all.</summary>
    public static void Run(string[] arguments)
    {
        using var gradients = no_grad();
        var chosen = Passes.Where(pass => Wanted(pass.Row)).ToArray();
        using var peer = PyTorch();
        foreach (var models in chosen.GroupBy(pass => pass.Model))
        {
            using var model = models.Key.StartsWith("SmolLM2", StringComparison.Ordinal) ? Model.Load(SmolLm2.Path) : RandomGpt2.Load();
            var plain = PlainTransformer.Of(model);
            foreach (var (row, name, batch, count) in models)
            {
                var tokens = Enumerable.Range(0, batch * count).Select(i => i % model.Config.VocabularySize).Chunk(count).ToArray();
                using var ids = tensor(tokens.SelectMany(sequence => sequence).Select(id => (long)id).ToArray()).view(batch, count);
                var difference = Difference(model, plain, tokens, ids);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{row}: largest difference of logits {difference:g2} of the largest logit"));
                if (!(difference <= 1e-4))
                {
                    throw new InvalidOperationException("The two sides compute different things.");
                }

                Report(
                    string.Create(CultureInfo.InvariantCulture, $"{name} forward, {batch} × {count} tokens, all logits"),
                    () => model.Run(tokens).Dispose(),
                    () => plain.Forward(ids).Dispose(),
                    row,
                    batch * count,
                    string.Create(CultureInfo.InvariantCulture, $"forward {row.Split('-')[0]} {batch} {count}"));
            }

            plain.Dispose();
        }

        if (Wanted("decode"))
        {
            using var model = Model.Load(SmolLm2.Path);
            using var plain = PlainTransformer.Of(model);
            long[] prompt = [.. Prompt.Select(token => (long)token)];
            if (!model.Generate(Prompt, NewTokens).Select(token => (long)token).SequenceEqual(plain.Generate(prompt, NewTokens)))
            {
                throw new InvalidOperationException("The two sides generate different tokens.");
            }

            Report(
                string.Create(CultureInfo.InvariantCulture, $"SmolLM2-135M, {NewTokens} tokens after {Prompt.Length}, greedy, with cache"),
                () => model.Generate(Prompt, NewTokens),
                () => plain.Generate(prompt, NewTokens),
                "decode",
                NewTokens,
                string.Create(CultureInfo.InvariantCulture, $"generate smollm2 {Prompt.Length} {NewTokens}"));
        }

        bool Wanted(string row) => arguments.Length == 0 || arguments.Contains(row, StringComparer.OrdinalIgnoreCase);

        void Report(string what, Action ours, Action theirs, string row, int tokens, string request)
        {
            var comparison = PairedComparison.Measure(what, () => Cost.Of(ours), () => Cost.Of(theirs), $"forward {row}");
            Console.WriteLine($"{PairedComparison.TableHead("plain TorchSharp")}\n{comparison}");
            if (peer is not null)
            {
                var beside = Comparison.Measure(what, ours, peer, request, blocks: 5);
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"tokens a second: HeadScope {tokens / beside.Ours:0}, {peer.Description}: {tokens / beside.Theirs:0}"));
            }

            Console.WriteLine();
        }
    }

    private static Peer? PyTorch()
    {
        try
        {
            return Peer.Start("forward.py");
        }
        catch (Exception exception) when (exception is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            Console.WriteLine("PyTorch is not installed for this Python, so its figures are left out; HEADSCOPE_PYTHON names another.\n");
            return null;
        }
    }

    private static double Difference(Model model, PlainTransformer plain, int[][] tokens, Tensor ids)
    {
        using var scope = NewDisposeScope();
        var expected = plain.Forward(ids);
        return ((model.Run(tokens).Logits! - expected).abs().max() / expected.abs().max()).item<float>();
    }
}
