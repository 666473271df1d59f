using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope merge</c>: the parts of a head map joined into the whole.</summary>
internal static class MergeCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var parts = new Argument<string[]>("parts")
        {
            Description = "The JSON files of all parts, in any order.",
            Arity = ArgumentArity.OneOrMore,
        };
        var output = MapCommand.OutputOption();
        output.Required = true;
        var verb = new Verb("merge", "Joins the parts that headscope map --shard wrote into the head map of the whole model, identical to one made at once.")
        {
            Examples =
            [
                ("headscope merge part-1.json part-2.json --output map.json", "Both halves into one file."),
                ("headscope merge part-1.json part-2.json --output map.json --output map.html", "The same, and a page to explore."),
            ],
        };
        verb.Add(parts);
        verb.Add(output);
        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            var paths = parsed.GetValue(output)!;
            Array.ForEach(paths, HeadMapFiles.Require);
            var map = HeadMap.Merge(parsed.GetValue(parts)!.Select(Read));
            HeadMapText.Print(map, top: 3, parsed.InvocationConfiguration.Output);
            HeadMapFiles.Write(map, paths, size, parsed.InvocationConfiguration.Output, cancellation);
        });
        return verb;
    }

    private static HeadMap Read(string path)
    {
        if (Directory.Exists(path))
        {
            throw new InvalidDataException($"{path}: is a folder; expected the JSON files that headscope map --shard wrote, such as {Path.Combine(path, "*.json")}.");
        }

        try
        {
            return HeadMap.FromJson(File.ReadAllText(path));
        }
        catch (InvalidDataException exception)
        {
            throw new InvalidDataException($"{path}: {exception.Message}", exception);
        }
    }
}
