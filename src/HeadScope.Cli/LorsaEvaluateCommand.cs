using System.CommandLine;
using System.Globalization;

namespace HeadScope.Cli;

/// <summary><c>headscope lorsa evaluate</c>: the quality of a trained Lorsa on a corpus.</summary>
internal static class LorsaEvaluateCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var folder = LorsaCommand.FolderArgument();
        var model = ModelOption.Create();
        var corpus = LorsaCommand.CorpusOption();
        var folded = LorsaCommand.FoldedOption();
        var sequences = new Option<int>("--sequences") { Description = "On how many sequences, from the start of the corpus.", HelpName = "n", DefaultValueFactory = _ => 32 };
        var loss = new Option<bool>("--loss")
        {
            Description = "Also measure the cross entropy of the model with its attention output replaced by the Lorsa's, by zero, and by its mean.",
        };
        var verb = new Verb("evaluate", "Measures a Lorsa: explained variance, normalised error, active and dead heads, and the loss recovered.")
        {
            Examples = [("headscope lorsa evaluate lorsa-demo-1 --corpus corpus.txt --loss", "A Lorsa of the demo model, with the loss recovered.")],
        };
        verb.Add(folder);
        foreach (var option in new Option[] { model, corpus, folded, sequences, loss })
        {
            verb.Add(option);
        }

        verb.Does((parsed, cancellation) =>
        {
            var writer = parsed.InvocationConfiguration.Output;
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var lorsa = Lorsa.Load(parsed.GetValue(folder)!, parsed.GetValue(folded)).For(loaded);
            var (texts, count) = (LorsaCorpus.FromFile(parsed.GetValue(corpus)!), parsed.GetValue(sequences));
            writer.WriteLine(lorsa);
            Print(LorsaEvaluation.Of(lorsa, texts, count, cancellation), writer);
            if (parsed.GetValue(loss))
            {
                var windows = texts.Windows(loaded, lorsa.Config.ContextLength).Take(count);
                var recovered = TerminalProgress.Show(progress => lorsa.LossRecovered([.. windows], progress: progress, cancellationToken: cancellation));
                writer.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"cross entropy {recovered.Original:f4}, with Lorsa {recovered.WithLorsa:f4}, zero {recovered.WithZero:f4}, mean {recovered.WithMean:f4}: "
                    + $"loss recovered {recovered.VersusZero:f4} against zero, {recovered.VersusMean:f4} against mean"));
            }
        });
        return verb;
    }

    /// <summary>Prints the quality.</summary>
    internal static void Print(LorsaEvaluation quality, TextWriter writer) => writer.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"held out, {quality.Tokens} tokens: explained variance {quality.ExplainedVariance:f4}, normalised error {quality.NormalizedError:f4}, "
        + $"active heads {quality.ActiveHeads:f1}, dead {quality.DeadFraction:p1}"));
}
