using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>
/// A training step of a Lorsa (forward, loss, backward, gradient norm, Adam) against the same step with dense PyTorch tensors:
/// d 768, 12 QK heads of 64, 6144 OV heads, k 64, 4 × 256 tokens.
/// </summary>
internal static class LorsaBenchmark
{
    private const int Sequences = 4;

    /// <summary>Runs it; an argument is the number of blocks, and <c>alone</c> leaves out the peer.</summary>
    public static void Run(string[] arguments)
    {
        var config = new LorsaConfig
        {
            ModelWidth = 768, Heads = 6144, QkHeads = 12, QkWidth = 64, ContextLength = 256, TopK = 64, Rotary = new() { Dimensions = 64 },
        };
        var p = new LorsaParameters(config);
        LorsaInitializer.Randomize(p, config, 1, firstCode: false, 1);
        var stepper = new LorsaStepper(config, p, new LorsaStepRules
        {
            LearningRate = new(LorsaLearningRateShape.Constant, 1e-4, 1),
            TopK = new(LorsaTopKShape.Linear, config.TopK, config.TopK),
        });
        var random = new Random(2);
        var tokens = Sequences * config.ContextLength;
        var (x, y) = (Normal(tokens * config.ModelWidth), Normal(tokens * config.ModelWidth));
        var mask = Enumerable.Range(0, tokens).Select(t => t % config.ContextLength == 0 ? 0f : 1f).ToArray();
        Action step = () => stepper.TakeStep(x, y, mask, Sequences, config.ContextLength);
        if (arguments.Contains("alone"))
        {
            Comparison.Seconds(step, 2);
            var seconds = Enumerable.Range(0, 7).Select(_ => Comparison.Seconds(step, 1)).Order().ElementAt(3);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:f0} ms a step, {tokens / seconds:f0} tokens/s"));
            return;
        }

        using var peer = Peer.Start("lorsa.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("PyTorch, dense"));
        var blocks = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 9;
        var comparison = Comparison.Measure(
            "Lorsa training step, d 768, 12 × 64 QK, 6144 OV heads, k 64, 4×256 tokens", step, peer, "step", blocks, blockSeconds: 1);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{comparison} {tokens / comparison.Ours:f0} against {tokens / comparison.Theirs:f0} tokens/s |"));

        float[] Normal(int count)
        {
            var values = new float[count];
            for (var i = 0; i < count; i++)
            {
                values[i] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
            }

            return values;
        }
    }
}
