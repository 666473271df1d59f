using System.Globalization;
using static TorchSharp.torch;

namespace HeadScope.Benchmarks;

/// <summary>
/// A training step of a Lorsa (forward, loss, backward, gradient norm, Adam) against the same step with dense PyTorch tensors:
/// d 768, 12 QK heads of 64, 6144 OV heads, k 64, 4 × 256 tokens.
/// </summary>
internal static class LorsaBenchmark
{
    private const int Sequences = 4;

    /// <summary>
    /// Runs it; an argument is the number of blocks, <c>alone</c> leaves out the peer, and <c>cpu</c> counts processor seconds of one thread, for a busy machine.
    /// </summary>
    public static void Run(string[] arguments)
    {
        var config = new LorsaConfig
        {
            ModelWidth = 768, Heads = 6144, QkHeads = 12, QkWidth = 64, ContextLength = 256, TopK = 64, RotaryDimensions = 64,
        };
        LibTorch.Require();
        var processorTime = arguments.Contains("cpu");
        Parallelism.Threads = processorTime ? 1 : Parallelism.Threads;
        using var lorsa = new Lorsa(config);
        LorsaStart.Randomize(lorsa, 1, firstCode: false);
        using var stepper = new LorsaStepper(lorsa, new()
        {
            Heads = config.Heads, TopK = config.TopK, TopKWarmUp = 0, ContextLength = config.ContextLength, LearningRate = 1e-4,
            LearningRateSchedule = "constant",
        });
        var tokens = Sequences * config.ContextLength;
        using var scope = NewDisposeScope();
        random.manual_seed(2);
        var (x, y) = (randn(Sequences, config.ContextLength, config.ModelWidth), randn(Sequences, config.ContextLength, config.ModelWidth));
        var mask = ones(Sequences, config.ContextLength);
        mask.narrow(1, 0, 1).zero_();
        Action step = () => stepper.TakeStep(x, y, mask);
        if (arguments.Contains("alone"))
        {
            Comparison.Seconds(step, 2);
            var cost = Cost.Median([.. Enumerable.Range(0, 7).Select(_ => Cost.Of(step))]);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{cost} a step, {tokens / cost.Wall:f0} tokens/s"));
            return;
        }

        using var peer = Peer.Start("lorsa.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("PyTorch, dense"));
        var blocks = arguments.Select(argument => int.TryParse(argument, CultureInfo.InvariantCulture, out var number) ? number : 0).Append(9).First(number => number > 0);
        var comparison = Comparison.Measure(
            "Lorsa training step, d 768, 12 × 64 QK, 6144 OV heads, k 64, 4×256 tokens", step, peer, "step", blocks, blockSeconds: 1, processorTime);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{comparison} {tokens / comparison.Ours:f0} against {tokens / comparison.Theirs:f0} tokens/s |"));
    }
}
