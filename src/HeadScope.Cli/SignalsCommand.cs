using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary><c>headscope signals</c>: when heads fire, and on which singular directions.</summary>
internal static class SignalsCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var prompts = new PromptOptions();
        var output = new Option<string[]>("--output", "-o")
        {
            Description = "Where to write; the ending says what: .json or .csv all firings, .html a page about the heads, "
                + ".svg, .pdf or .png a picture of how many directions they take. The option may be given several times.",
            HelpName = "file",
        };
        var top = new Option<int>("--top") { Description = "How many heads are printed.", HelpName = "n", DefaultValueFactory = _ => 20 };
        var verb = new Verb(
            "signals",
            "Finds where heads fire and the few singular directions of their QK matrix that make the score (Sparse Attention Decomposition, "
            + "arXiv 2410.00340): prints for each head how many directions it takes, which one recurs, and for which tokens.")
        {
            Examples =
            [
                ("headscope signals --prompts ioi:16", "The heads of the demo model on 16 IOI prompts."),
                ("headscope signals --prompts ioi:64 --output signals.html", "The same on 64 prompts, as a page."),
                ("headscope signals --model gpt2 --prompts induction:64 --output firings.csv", "All firings of GPT-2 small, as a table."),
            ],
        };
        foreach (var option in new Option[] { model, prompts.Prompts, prompts.Seed, prompts.Threshold, output, top })
        {
            verb.Add(option);
        }

        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            var task = prompts.Task(parsed);
            var threshold = parsed.GetValue(prompts.Threshold);
            var paths = parsed.GetValue(output) ?? [];
            Array.ForEach(paths, path => FigureFile.Require(path, [".json", ".csv", .. FigureFile.Endings]));
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var signals = TerminalProgress.Show(progress => Signals.Find(loaded, task, threshold, progress: progress, cancellationToken: cancellation));
            Print(signals, parsed.GetValue(top), parsed.InvocationConfiguration.Output);
            foreach (var path in paths)
            {
                switch (Path.GetExtension(path).ToLowerInvariant())
                {
                    case ".json":
                        AtomicFile.WriteText(path, signals.ToJson());
                        break;
                    case ".csv":
                        AtomicFile.WriteText(path, signals.ToCsv());
                        break;
                    default:
                        FigureFile.Write(
                            path,
                            $"Signals of {signals.Model}",
                            [Charts.SignalDirections(signals), Charts.SignalTable(signals)],
                            size,
                            cancellation);
                        break;
                }

                parsed.InvocationConfiguration.Output.WriteLine($"Wrote {path}");
            }
        });
        return verb;
    }

    private static void Print(Signals signals, int top, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        console.WriteLine($"{signals}");
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumns("head", "firings", "directions", "most frequent", "in", "destination tokens", "source tokens");
        table.Columns[1].RightAligned();
        foreach (var row in signals.ByHead(tokens: 3).Rows.OrderByDescending(row => (int)row["firings"]).Take(top))
        {
            table.AddRow(
                new Text((string)row["head"]),
                new Text(string.Create(CultureInfo.InvariantCulture, $"{row["firings"]}")),
                new Text(string.Create(CultureInfo.InvariantCulture, $"{row["mean_directions"]:0.0} of {signals.HeadWidth}")),
                new Text(string.Create(CultureInfo.InvariantCulture, $"{row["direction"]}")),
                new Text(string.Create(CultureInfo.InvariantCulture, $"{100 * (double)row["share"]:0} %")),
                new Text((string)row["destination_tokens"]),
                new Text((string)row["source_tokens"]));
        }

        console.Write(table);
    }
}
