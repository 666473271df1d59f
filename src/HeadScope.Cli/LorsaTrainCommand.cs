using System.CommandLine;
using System.Globalization;

namespace HeadScope.Cli;

/// <summary><c>headscope lorsa train</c>: trains on a corpus, with checkpoints.</summary>
internal static class LorsaTrainCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var defaults = new LorsaTrainingOptions();
        var model = ModelOption.Create();
        var layer = new Option<int>("--layer") { Description = "The attention layer to replace, counted from 0.", HelpName = "n", Required = true };
        var corpus = LorsaCommand.CorpusOption();
        var output = new Option<string>("--output", "-o")
        {
            Description = "The folder of checkpoints, curve.csv and the finished Lorsa. A training found there is resumed.",
            HelpName = "folder",
            Required = true,
        };
        var heads = Number("--heads", "The number of one-dimensional heads.", defaults.Heads);
        var k = Number("--k", "How many heads are active at a token.", defaults.TopK);
        var context = new Option<int>("--context")
        {
            Description = "The length of the sequences, in tokens; 256, or the model's context where that is shorter, when not given.",
            HelpName = "n",
        };
        var batch = Number("--batch", "How many sequences make a batch.", defaults.BatchSequences);
        var tokens = new Option<long>("--tokens") { Description = "How many tokens to train on.", HelpName = "n", DefaultValueFactory = _ => defaults.Tokens };
        var rate = new Option<double>("--learning-rate") { Description = "The largest learning rate.", HelpName = "x", DefaultValueFactory = _ => defaults.LearningRate };
        var random = new Option<bool>("--random-start") { Description = "Start at random instead of from the layer's own heads." };
        var seed = Number("--seed", "Seeds the start and the order of the corpus.", defaults.Seed);
        var heldOut = Number("--held-out", "How many sequences are held out for evaluation.", defaults.HeldOutSequences);
        var checkpoint = Number("--checkpoint-every", "How often a checkpoint is written, in steps.", defaults.CheckpointEvery);
        var evaluate = Number("--evaluate-every", "How often the held-out sequences are evaluated, in steps; 0 for the end alone.", defaults.EvaluateEvery);
        var verb = new Verb(
            "train",
            "Trains a Lorsa for one attention layer of a model on a corpus. Ctrl-C writes a checkpoint; the same command line goes on from it, and "
            + "gives the same numbers as a training that was never stopped.")
        {
            Examples =
            [
                ("headscope lorsa train --layer 1 --corpus corpus.txt --output lorsa-demo-1 --heads 1024 --context 64 --tokens 200000",
                    "The second layer of the demo model, in about a minute."),
                ("headscope lorsa train --model gpt2 --layer 5 --corpus pile.jsonl --output lorsa-gpt2-5 --heads 6144 --k 64 --tokens 20000000",
                    "A layer of GPT-2 small on JSON lines."),
            ],
        };
        foreach (var option in new Option[] { model, layer, corpus, output, heads, k, context, batch, tokens, rate, random, seed, heldOut, checkpoint, evaluate })
        {
            verb.Add(option);
        }

        verb.Does((parsed, cancellation) =>
        {
            var writer = parsed.InvocationConfiguration.Output;
            var folder = parsed.GetValue(output)!;
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var options = new LorsaTrainingOptions
            {
                Heads = parsed.GetValue(heads),
                TopK = parsed.GetValue(k),
                ContextLength = parsed.GetValue(context),
                BatchSequences = parsed.GetValue(batch),
                Tokens = parsed.GetValue(tokens),
                LearningRate = parsed.GetValue(rate),
                RandomStart = parsed.GetValue(random),
                Seed = parsed.GetValue(seed),
                HeldOutSequences = parsed.GetValue(heldOut),
                CheckpointEvery = parsed.GetValue(checkpoint),
                EvaluateEvery = parsed.GetValue(evaluate),
                Folder = folder,
            };
            Lorsa lorsa;
            try
            {
                lorsa = TerminalProgress.Show(progress => Lorsa.Train(
                    loaded, parsed.GetValue(layer), LorsaCorpus.FromFile(parsed.GetValue(corpus)!), options, progress, cancellation));
            }
            catch (OperationCanceledException)
            {
                parsed.InvocationConfiguration.Error.WriteLine($"A checkpoint is in {folder}; the same command goes on from it.");
                throw;
            }

            var report = lorsa.Training!;
            writer.WriteLine($"{lorsa}, written to {folder}");
            writer.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"explained variance in training {report.Curve[^1].ExplainedVariance:f4}, {report.TokensPerSecond:f0} tokens/s"));
            if (report.HeldOut is { } quality)
            {
                LorsaEvaluateCommand.Print(quality, writer);
            }
        });
        return verb;

        static Option<int> Number(string name, string description, int value) =>
            new(name) { Description = description, HelpName = "n", DefaultValueFactory = _ => value };
    }
}
