using System.CommandLine;

namespace HeadScope.Cli;

/// <summary><c>headscope describe</c>: simple patterns in what heads do.</summary>
internal static class DescribeCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var heads = HeadOption.Create("The head; all heads when not given.");
        var share = new Option<double>("--minimum-share")
        {
            Description = "Name a pattern when it holds for at least this share of the tokens, or pairs of a relation.",
            HelpName = "0-1",
            DefaultValueFactory = _ => 0.3,
        };
        var output = new Option<string?>("--output", "-o") { Description = "Where to write the descriptions with their evidence: .json.", HelpName = "file" };
        var verb = new Verb(
            "describe",
            "Describes heads in words, without a network: relations they implement, and simple patterns between the tokens they amplify and "
            + "the tokens they map them to (same token, case, space, plural, prefix or suffix, letters, sequences, translations, scripts, "
            + "categories). Says so when there is none.")
        {
            Examples =
            [
                ("headscope describe --head 3.5", "One head of the demo model."),
                ("headscope describe --model gpt2 --output heads.json", "All heads of GPT-2 small, with the pairs each description rests on."),
            ],
        };
        foreach (var option in new Option[] { model, heads, share, output })
        {
            verb.Add(option);
        }

        verb.Does((parsed, cancellation) =>
        {
            var chosen = HeadOption.Parse(parsed.GetValue(heads) ?? []);
            var path = parsed.GetValue(output);
            FigureFile.Require(path, ".json");
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var operations = TerminalProgress.Show(
                progress => SalientOperations.Of(loaded, chosen.Length == 0 ? null : chosen, progress: progress, cancellationToken: cancellation));
            var map = TerminalProgress.Show(
                progress => HeadMap.Score(loaded, Relations.All, new HeadMapOptions { MinimumPairs = 10 }, progress, cancellation));
            var descriptions = operations.Heads.Select(head => HeadDescription.Of(operations, head, map, parsed.GetValue(share))).ToArray();
            var to = parsed.InvocationConfiguration.Output;
            foreach (var description in descriptions)
            {
                to.WriteLine(description.Summary.ReplaceLineEndings(" "));
            }

            ResultFiles.Write(path, () => HeadDescription.ToJson(descriptions), csv: null, to);
        });
        return verb;
    }
}
