using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope map</c>: which heads implement which relation, from the parameters alone.</summary>
internal static class MapCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var relations = new Option<string[]>("--relation", "-r")
        {
            Description = "A relation that comes with HeadScope (such as country_to_capital), or a CSV file with the columns source,target. "
                + "The option may be given several times; all shipped relations when it is not.",
            HelpName = "name|pairs.csv",
        };
        var k = new Option<int?>("--k")
        {
            Description = "A pair counts when its target is among the k tokens that the head promotes most; as in the paper when not given: 10, and 1 for copying.",
            HelpName = "n",
        };
        var minimum = new Option<int?>("--minimum-pairs")
        {
            Description = "Skip relations with fewer pairs of single tokens; 30 when not given, 1 for relations from files.",
            HelpName = "n",
        };
        var withoutMlp = new Option<bool>("--no-first-mlp") { Description = "Let heads read the embeddings as they are, without the first MLP." };
        var shard = new Option<string?>("--shard")
        {
            Description = "Score only part i of n equal parts of the heads, for many machines; write it with --output part.json and join the parts with headscope merge.",
            HelpName = "i/n",
        };
        var dynamic = new Option<bool>("--dynamic")
        {
            Description = "Run the model too, on four prompts for each pair, and print how what heads write follows these scores; "
                + "the correlations are also written beside the first output, as .dynamic.csv.",
        };
        var output = OutputOption();
        var top = new Option<int>("--top") { Description = "How many heads are printed for each relation.", HelpName = "n", DefaultValueFactory = _ => 3 };
        var verb = new Verb(
            "map",
            "Finds the heads that implement relations, such as from a country to its capital, from the parameters alone (MAPS, arXiv 2412.11965): "
            + "prints the strongest heads and a heat map, and writes a page to explore all of them. Runs on the built-in demo model when no other is named.")
        {
            Examples =
            [
                ("headscope map", "All shipped relations on the demo model; writes head-map.html."),
                ("headscope map --model gpt2 --relation country_to_capital --relation name_copying", "Two relations on GPT-2 small."),
                ("headscope map --model model.gguf --relation pairs.csv --k 10 --output x.json", "Your own pairs on a GGUF file, as JSON."),
                ("headscope map --model gpt2 --output map.pdf --width 84", "A picture for one column of a paper."),
                ("headscope map --dynamic --relation country_to_capital", "Also what the heads do on prompts, and Pearson's correlation of the two."),
                ("headscope map --model meta-llama/Llama-3.1-8B --shard 3/16 --output part-3.json", "The third of sixteen parts, for a cluster."),
            ],
        };
        foreach (var option in new Option[] { model, relations, k, minimum, withoutMlp, shard, dynamic, output, top })
        {
            verb.Add(option);
        }

        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            RequireAtLeast(1, k, parsed.GetValue(k));
            RequireAtLeast(0, top, parsed.GetValue(top));
            RequireAtLeast(1, minimum, parsed.GetValue(minimum));
            var options = new HeadMapOptions
            {
                K = parsed.GetValue(k),
                FirstMlp = !parsed.GetValue(withoutMlp),
                Shard = Part(parsed.GetValue(shard)),
            };
            var asked = parsed.GetValue(relations) ?? [];
            Relation[] chosen = asked.Length == 0 ? [.. Relations.All] : [.. asked.Select(Named)];
            options = options with { MinimumPairs = parsed.GetValue(minimum) ?? (asked.Any(File.Exists) ? 1 : options.MinimumPairs) };
            string[] paths = parsed.GetValue(output) is { Length: > 0 } given ? given : ["head-map.html"];
            Array.ForEach(paths, HeadMapFiles.Require);

            if (parsed.GetValue(dynamic) && options is not { FirstMlp: true, Shard.Of: 1 })
            {
                throw new UsageException("--dynamic needs all heads and the first MLP: leave out --shard and --no-first-mlp.");
            }

            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            if (parsed.GetValue(dynamic))
            {
                var measured = TerminalProgress.Show(progress => DynamicMap.Score(
                    loaded, chosen, options, progress: progress, cancellationToken: cancellation));
                HeadMapText.Print(measured.Static, parsed.GetValue(top), parsed.InvocationConfiguration.Output);
                DynamicMapText.Print(measured, parsed.InvocationConfiguration.Output);
                HeadMapFiles.Write(measured.Static, paths, size, parsed.InvocationConfiguration.Output, cancellation);
                var table = Path.ChangeExtension(paths[0], ".dynamic.csv");
                AtomicFile.WriteText(table, measured.ToCsv());
                parsed.InvocationConfiguration.Output.WriteLine($"Wrote {table}");
                return;
            }

            var map = TerminalProgress.Show(progress => HeadMap.Score(loaded, chosen, options, progress, cancellation));
            HeadMapText.Print(map, parsed.GetValue(top), parsed.InvocationConfiguration.Output);
            HeadMapFiles.Write(map, paths, size, parsed.InvocationConfiguration.Output, cancellation);
        });
        return verb;
    }

    /// <summary>The option <c>--output</c> of <c>map</c> and <c>merge</c>.</summary>
    internal static Option<string[]> OutputOption() => new("--output", "-o")
    {
        Description = "Where to write; the ending says what: .html a page to explore, .json all of it, .csv one line a head, .svg, .pdf or .png a picture. "
            + "The option may be given several times.",
        HelpName = "file",
    };

    private static (int Part, int Of) Part(string? text)
    {
        try
        {
            (int Part, int Of) shard = text is null ? (1, 1) : HeadMap.ParseShard(text);
            return shard.Part >= 1 && shard.Part <= shard.Of
                ? shard
                : throw new UsageException($"--shard: There is no part {text}: parts are counted from 1/n to n/n.");
        }
        catch (FormatException exception)
        {
            throw new UsageException($"--shard: {exception.Message}");
        }
    }

    private static void RequireAtLeast(int least, Option option, int? value)
    {
        if (value < least)
        {
            throw new UsageException($"{option.Name} {value} is not possible: expected {least} or more.");
        }
    }

    /// <summary>The relation that an option names: a shipped one, or a CSV file.</summary>
    internal static Relation Named(string nameOrPath)
    {
        if (Relations.All.FirstOrDefault(r => string.Equals(r.Name, nameOrPath, StringComparison.OrdinalIgnoreCase)) is { } shipped)
        {
            return shipped;
        }

        var isPath = File.Exists(nameOrPath) || nameOrPath.Contains('/', StringComparison.Ordinal)
            || nameOrPath.EndsWith(".csv", StringComparison.OrdinalIgnoreCase);
        return isPath
            ? Relations.FromCsv(nameOrPath)
            : throw new UsageException(
                $"--relation {nameOrPath}: there is no such file, and no relation of that name. There are: {string.Join(", ", Relations.All.Select(r => r.Name))}.");
    }
}
