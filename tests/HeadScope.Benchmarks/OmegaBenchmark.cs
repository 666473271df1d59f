using System.Globalization;
using TorchSharp;

namespace HeadScope.Benchmarks;

/// <summary>
/// The decomposition of all 144 heads of GPT-2 small's shape: thin QR of both factors, SVD of the core, directions; against PyTorch's SVD of
/// the (769 × 769) matrices, as the authors' code has it. PyTorch decomposes some heads and the time is scaled to all.
/// </summary>
internal static class OmegaBenchmark
{
    private const int PeerHeads = 2;

    /// <summary>Runs it.</summary>
    public static void Run(string[] arguments)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(arguments.Length, 0, nameof(arguments));
        using var random = RandomGpt2.Load();
        var model = Circuit.Fold(random);
        var heads = model.Heads;
        using var peer = Peer.Start("circuits.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("PyTorch"));
        foreach (var processorTime in new[] { false, true })
        {
            var measured = Comparison.Measure(
                $"Omega of all {heads.Count} heads, 769 × 769 of rank 64{(processorTime ? ", time of the processors" : "")}",
                () => Parallelism.For(model.Config.LayerCount, layer => Decompose(model, layer)),
                peer,
                $"svd {PeerHeads}",
                blocks: 3,
                processorTime: processorTime);
            Console.WriteLine(measured with { Theirs = measured.Theirs * heads.Count / PeerHeads });
        }
    }

    private static void Decompose(Model model, int layer)
    {
        using var scope = torch.NewDisposeScope();
        Omega.OfLayer(model, layer);
    }
}
