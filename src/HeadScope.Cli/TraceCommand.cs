using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary><c>headscope trace</c>: the circuit behind a task.</summary>
internal static class TraceCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var prompts = new PromptOptions();
        var roots = new Option<string?>("--roots")
        {
            Description = "The heads to begin with, such as 9.6,9.9; the three with the greatest direct effect on the logit difference when not given.",
            HelpName = "heads",
        };
        var published = new Option<bool>("--published")
        {
            Description = "Count as the authors' code does, faults included, to compare with published graphs: only heads send, repeats count.",
        };
        var minimum = new Option<double?>("--min-weight") { Description = "Leave out edges of smaller weight.", HelpName = "weight" };
        var minimumCount = new Option<int>("--min-count")
        {
            Description = "Leave out edges that fewer prompts show.",
            HelpName = "n",
            DefaultValueFactory = _ => 1,
        };
        var output = new Option<string[]>("--output", "-o")
        {
            Description = "Where to write; the ending says what: .graphml for graph tools, .json all of it, .csv one line an edge, "
                + ".html a page to explore, .svg, .pdf or .png a picture. "
                + "The option may be given several times.",
            HelpName = "file",
        };
        var top = new Option<int>("--top") { Description = "How many edges are printed.", HelpName = "n", DefaultValueFactory = _ => 20 };
        var verb = new Verb(
            "trace",
            "Traces the circuit behind a task (Sparse Attention Decomposition, arXiv 2410.00340): from the heads that make the answer back to "
            + "the heads, MLPs and embeddings that sent the signals they fire on, merged over prompts by the role of the token.")
        {
            Examples =
            [
                ("headscope trace --prompts ioi:16 --output circuit.html", "The IOI circuit of the demo model, printed and as a page."),
                ("headscope trace --model gpt2 --prompts ioi:256 --roots 9.6,9.9,10.0 --published --output ioi.graphml", "The paper's setting."),
                ("headscope trace --model model.gguf --prompts induction:32 --min-count 8 --output induction.json", "Induction, frequent edges alone."),
            ],
        };
        foreach (var option in new Option[]
            { model, prompts.Prompts, prompts.Seed, roots, published, prompts.Threshold, minimum, minimumCount, output, top })
        {
            verb.Add(option);
        }

        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            var task = prompts.Task(parsed);
            var options = (parsed.GetValue(published) ? TraceOptions.Published : new TraceOptions()) with
            {
                Roots = Heads(parsed.GetValue(roots)),
                PatternThreshold = parsed.GetValue(prompts.Threshold),
            };
            var paths = parsed.GetValue(output) ?? [];
            Array.ForEach(paths, path => FigureFile.Require(path, [".graphml", ".json", ".csv", .. FigureFile.Endings]));
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var trace = TerminalProgress.Show(progress => Circuit.Trace(loaded, task, options, progress, cancellation));
            trace = trace.Prune(parsed.GetValue(minimum) ?? double.NegativeInfinity, parsed.GetValue(minimumCount));
            Print(trace, parsed.GetValue(top), parsed.InvocationConfiguration.Output);
            foreach (var path in paths)
            {
                switch (Path.GetExtension(path).ToLowerInvariant())
                {
                    case ".graphml":
                        AtomicFile.WriteText(path, trace.ToGraphMl());
                        break;
                    case ".json":
                        AtomicFile.WriteText(path, trace.ToJson());
                        break;
                    case ".csv":
                        AtomicFile.WriteText(path, trace.ToCsv());
                        break;
                    default:
                        FigureFile.Write(path, $"Circuit of {trace.Model}", [Charts.Circuit(trace)], size, cancellation);
                        break;
                }

                parsed.InvocationConfiguration.Output.WriteLine($"Wrote {path}");
            }
        });
        return verb;
    }

    private static void Print(Circuit trace, int top, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        console.WriteLine($"{trace}");
        if (trace.Edges.Count == 0)
        {
            return;
        }

        var table = new Table { Border = TableBorder.Simple };
        table.AddColumns("sender", "receiver", "at", "side", "count", "weight");
        table.Columns[4].RightAligned();
        table.Columns[5].RightAligned();
        foreach (var edge in trace.Top(top))
        {
            table.AddRow(
                new Text(edge.Sender!),
                new Text(edge.Receiver.ToString()),
                new Text(edge.Role),
                new Text(edge.Side == SignalSide.Source ? "source" : "destination"),
                new Text(edge.Count.ToString(CultureInfo.InvariantCulture)),
                new Text(edge.Weight.ToString("0.00", CultureInfo.InvariantCulture)));
        }

        console.Write(table);
    }

    private static Head[]? Heads(string? text)
    {
        try
        {
            return text?.Split(',', StringSplitOptions.TrimEntries).Select(Head.Parse).ToArray();
        }
        catch (FormatException exception)
        {
            throw new UsageException($"--roots: {exception.Message}");
        }
    }
}
