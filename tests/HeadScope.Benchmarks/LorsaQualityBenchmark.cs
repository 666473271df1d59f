using System.Globalization;
using System.Text.Json;

namespace HeadScope.Benchmarks;

/// <summary>
/// The quality of training: a Lorsa for a layer of SmolLM2-135M-Instruct on the reference's windows in the reference's order and budget
/// (350 steps of 1,024 tokens), against the held-out explained variance of the official trainer. Needs HEADSCOPE_TEST_DATA. What it prints
/// and the curves of both stand in the folder then: <c>training.txt</c>, <c>.svg</c> and <c>.png</c>, drawn by an installed browser.
/// </summary>
internal static class LorsaQualityBenchmark
{
    /// <summary>Runs it; arguments are the layer (3 or 12), the folder for curve and weights, and optionally a seed.</summary>
    public static void Run(string[] arguments)
    {
        var data = Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA")
            ?? throw new InvalidOperationException("Set HEADSCOPE_TEST_DATA to the folder of the reference data.");
        var (layer, folder) = (int.Parse(arguments[0], CultureInfo.InvariantCulture), arguments[1]);
        var seed = arguments.Length > 2 ? int.Parse(arguments[2], CultureInfo.InvariantCulture) : 0;
        using var model = Model.Load(Path.Combine(data, "models", "smollm2-135m-instruct", "model.gguf"));
        using var file = SafetensorsFile.Open(Path.Combine(data, "reference", "lorsa", "train", "windows.safetensors"));
        var tokens = file.Read("tokens").to(TorchSharp.torch.int32).data<int>().ToArray();
        var windows = tokens.Chunk(256).ToArray();

        // Held-out windows come first here; they are the last hundred of the file.
        var corpus = LorsaCorpus.FromWindows([.. windows[1400..], .. windows[..1400]]);
        var lorsa = Lorsa.Train(
            model, layer, corpus,
            new LorsaTrainingOptions
            {
                Heads = 2304, TopK = 32, ContextLength = 256, BatchSequences = 4, Tokens = 350 * 1024L, LearningRate = 1e-3,
                HeldOutSequences = 100, EvaluateEvery = 100, Folder = folder, CheckpointEvery = 50, Seed = seed,
            },
            new Lines());
        var peer = Path.Combine(data, "reference", "lorsa", "train", $"baseline_layer{layer}");
        using var baseline = JsonDocument.Parse(File.ReadAllText(peer + ".json"));
        var official = baseline.RootElement.GetProperty("heldout").GetProperty("ev").GetDouble();
        var report = lorsa.Training!;
        var row = string.Create(
            CultureInfo.InvariantCulture,
            $"| layer {layer} | seed {seed} | EV {report.HeldOut!.ExplainedVariance:f4} | official {official:f4} | NMSE {report.HeldOut.NormalizedError:f4} | L0 {report.HeldOut.ActiveHeads:f2} | dead {report.HeldOut.DeadHeads.Count()} |{(report.TokensPerSecond > 0 ? $" {report.TokensPerSecond:f0} tokens/s |" : "")}");
        Console.WriteLine(row);
        File.WriteAllText(Path.Combine(folder, "training.txt"), row + "\n");
        var curve = File.ReadLines(peer + ".csv").Skip(1).Select(line => line.Split(','))
            .Select(cells => (long.Parse(cells[1], CultureInfo.InvariantCulture), double.Parse(cells[6], CultureInfo.InvariantCulture)));
        var chart = Charts.TrainingCurves(report, [.. curve]);
        chart.SavePaper(Path.Combine(folder, "training.svg"), widthMm: 175);
        chart.SavePaper(Path.Combine(folder, "training.png"), widthMm: 175, dpi: 150);
    }

    private sealed class Lines : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value)
        {
            if (value.Done % 10240 == 0)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{value.Done} {value.Detail}"));
            }
        }
    }
}
