using System.CommandLine;
using System.Globalization;

namespace HeadScope.Cli;

/// <summary><c>headscope lorsa inspect</c>: what a head reads, writes and does.</summary>
internal static class LorsaInspectCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var folder = LorsaCommand.FolderArgument();
        var model = ModelOption.Create();
        var folded = LorsaCommand.FoldedOption();
        var head = new Option<int[]>("--head") { Description = "A head to describe; several with the option given several times.", HelpName = "n" };
        var kind = new Option<string?>("--kind") { Description = $"Find heads of a kind: {string.Join(", ", Lorsa.HeadKinds)}.", HelpName = "kind" };
        var text = new Option<string?>("--text") { Description = "Show the z-pattern of each head on this text at its strongest token.", HelpName = "text" };
        var corpus = new Option<string?>("--corpus") { Description = "Show where in these texts each head is most active.", HelpName = "file" };
        var tokens = new Option<long>("--tokens") { Description = "How many tokens of the corpus to read.", HelpName = "n", DefaultValueFactory = _ => 100_000 };
        var top = new Option<int>("--top") { Description = "How many heads of a kind, and how many places in the corpus, are shown.", HelpName = "n", DefaultValueFactory = _ => 5 };
        var verb = new Verb("inspect", "Describes heads of a Lorsa: where they come from, which tokens they read and promote, where they are active.")
        {
            Examples =
            [
                ("headscope lorsa inspect lorsa-demo-1 --kind induction", "The five clearest induction heads."),
                ("headscope lorsa inspect lorsa-demo-1 --head 812 --text \"one two three one two\" --corpus corpus.txt",
                    "A head, its z-pattern on a text, and where in a corpus it is most active."),
            ],
        };
        verb.Add(folder);
        foreach (var option in new Option[] { model, folded, head, kind, text, corpus, tokens, top })
        {
            verb.Add(option);
        }

        verb.Does((parsed, cancellation) =>
        {
            var writer = parsed.InvocationConfiguration.Output;
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var lorsa = Lorsa.Load(parsed.GetValue(folder)!, parsed.GetValue(folded)).For(loaded);
            var found = parsed.GetValue(kind) is { } wanted ? lorsa.FindHeads(wanted, parsed.GetValue(top), cancellationToken: cancellation) : [];
            int[] named = parsed.GetValue(head) ?? [];
            if (named.Length + found.Count == 0)
            {
                throw new UsageException(parsed.GetValue(kind) is { } none ? $"No head of the kind '{none}' was found." : "Give --head or --kind.");
            }

            if (named.FirstOrDefault(h => h < 0 || h >= lorsa.Config.Heads, -1) is >= 0 and var missing)
            {
                throw new UsageException($"There is no head {missing}; this Lorsa has {lorsa.Config.Heads}.");
            }

            var activities = parsed.GetValue(corpus) is { } path
                ? TerminalProgress.Show(progress => HeadActivities.Of(
                    lorsa, LorsaCorpus.FromFile(path), parsed.GetValue(tokens), parsed.GetValue(top), progress, cancellation))
                : null;
            foreach (var one in named.Select(lorsa.Head).Concat(found))
            {
                Print(one, writer);
                if (parsed.GetValue(text) is { } example)
                {
                    Print(one.ZPattern(example), writer);
                }

                if (activities is not null)
                {
                    Print(activities, one.Index, loaded, writer);
                }

                writer.WriteLine();
            }
        });
        return verb;
    }

    private static void Print(LorsaHead head, TextWriter writer)
    {
        var score = head.Score > 0 ? string.Create(CultureInfo.InvariantCulture, $", score {head.Score:f3}") : "";
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"head {head.Index}, QK head {head.QkHead}, |w_O| {head.OutputNorm:f3}{score}"));
        writer.WriteLine($"  from {string.Join(", ", head.Shares.Index().OrderByDescending(share => share.Item).Take(3)
            .Select(share => string.Create(CultureInfo.InvariantCulture, $"head {share.Index} {share.Item:p0}")))}; {head.HeadsFor()} make up 90 %");
        writer.WriteLine($"  reads {Tokens(head.Reads)}");
        writer.WriteLine($"  promotes {Tokens(head.Promotes)}");
        writer.WriteLine($"  suppresses {Tokens(head.Suppresses)}");
    }

    private static void Print(ZPattern pattern, TextWriter writer)
    {
        var peak = pattern.Peak;
        if ((float)pattern.Activations[peak] == 0)
        {
            writer.WriteLine("  silent on the text");
            return;
        }

        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  on the text: z {(float)pattern.PreActivations[peak]:f3} at token {peak} '{pattern.TokenTexts[peak]}', from ")
            + string.Join(", ", pattern.At(peak).Take(4).Select(source =>
                string.Create(CultureInfo.InvariantCulture, $"'{pattern.TokenTexts[source.Position]}' {source.Contribution:f3}"))));
    }

    private static void Print(HeadActivities activities, int head, Model model, TextWriter writer)
    {
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  active at {(float)activities.Frequencies[head]:p2} of the tokens, mean {(float)activities.Means[head]:f3}"));
        foreach (var place in activities.Top(head))
        {
            const int Before = 12;
            var first = Math.Max(0, place.Position - Before);
            var context = string.Concat(place.Tokens.Skip(first).Take(place.Position - first).Select(model.Tokenizer.TokenText));
            var line = $"{context}[{model.Tokenizer.TokenText(place.Tokens[place.Position])}]".ReplaceLineEndings(" ");
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {place.Activation,8:f3}  {line}"));
        }
    }

    private static string Tokens(IEnumerable<(int Token, string Text, float Score)> tokens) => string.Join(", ", tokens.Take(6).Select(token =>
        string.Create(CultureInfo.InvariantCulture, $"'{token.Text.ReplaceLineEndings("\\n")}' {token.Score:f2}")));
}
