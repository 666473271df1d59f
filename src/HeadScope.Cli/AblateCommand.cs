using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary><c>headscope ablate</c>: whether a model needs the heads of a relation.</summary>
internal static class AblateCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var model = ModelOption.Create();
        var relation = new Option<string>("--relation", "-r")
        {
            Description = "A relation that comes with HeadScope, or a CSV file with the columns source,target (then with --template).",
            HelpName = "name|pairs.csv",
            DefaultValueFactory = _ => "country_to_capital",
        };
        var template = new Option<string?>("--template")
        {
            Description = "The prompt that asks for the target, with <X> in the place of the source; the shipped one of the relation when not given.",
            HelpName = "text",
        };
        var k = new Option<int?>("--k") { Description = "As for headscope map, for the scores that order the heads.", HelpName = "n" };
        var heads = new Option<int?>("--heads") { Description = "At most how many heads are ablated; as in the paper when not given (30 for models of fewer than 300 heads).", HelpName = "n" };
        var random = new Option<int>("--random") { Description = "How many times as many random other heads are ablated.", HelpName = "n", DefaultValueFactory = _ => 5 };
        var controls = new Option<int>("--controls") { Description = "At most how many other tasks the heads are ablated in.", HelpName = "n", DefaultValueFactory = _ => 1 };
        var mean = new Option<bool>("--mean") { Description = "Replace a head's output by its mean over the prompts, not by zeros." };
        var seed = new Option<int>("--seed") { Description = "Draws random heads and control tasks.", HelpName = "n", DefaultValueFactory = _ => 0 };
        var output = new Option<string?>("--output", "-o") { Description = "Where to write all accuracies: .json or .csv, or the curves: .html, .svg, .pdf or .png.", HelpName = "file" };
        var verb = new Verb(
            "ablate",
            "Ablates the heads that implement a relation by their parameters, strongest first, and prints how many prompts the model still "
            + "answers; beside it random heads, and the same heads in another task (MAPS, arXiv 2412.11965, section 4.3).")
        {
            Examples =
            [
                ("headscope ablate --template \"The capital city of <X> is called\"", "Capitals in the demo model, which wants the sentence that it was trained on."),
                ("headscope ablate --model model.gguf --relation country_to_language --random 3 --output x.csv", "Languages in a GGUF file."),
                ("headscope ablate --relation pairs.csv --template \"The opposite of <X> is\"", "Your own pairs and prompt."),
            ],
        };
        foreach (var option in new Option[] { model, relation, template, k, heads, random, controls, mean, seed, output })
        {
            verb.Add(option);
        }

        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            var path = parsed.GetValue(output);
            FigureFile.Require(path, [".json", ".csv", .. FigureFile.Endings]);
            var named = parsed.GetValue(relation)!;
            var chosen = MapCommand.Named(named);
            if (parsed.GetValue(template) is null && chosen.Prompt is null)
            {
                throw new UsageException($"--relation {named} has no shipped prompt: give one with --template.");
            }

            var options = new AblationOptions
            {
                Template = parsed.GetValue(template),
                K = parsed.GetValue(k),
                Heads = parsed.GetValue(heads),
                RandomRuns = parsed.GetValue(random),
                ControlTasks = parsed.GetValue(controls),
                Mean = parsed.GetValue(mean),
                Seed = parsed.GetValue(seed),
                MinimumPairs = File.Exists(named) ? 1 : new AblationOptions().MinimumPairs,
            };
            using var loaded = ModelOption.Load(parsed, parsed.GetValue(model)!, cancellation);
            var result = TerminalProgress.Show(progress => HeadAblation.Run(loaded, chosen, options, progress, cancellation));
            Print(result, parsed.InvocationConfiguration.Output);
            ResultFiles.Write(path, result.ToJson, result.ToCsv, parsed.InvocationConfiguration.Output, () => Charts.Ablation(result), size, cancellation);
        });
        return verb;
    }

    private static void Print(HeadAblation result, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        console.WriteLine($"{result}; {result.Prompts} prompts: '{result.Template}'");
        var qualified = result.Controls.Where(c => c.Accuracies is not null).ToArray();
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumn("ablated");
        table.AddColumn("last head");
        table.AddColumn("accuracy");
        table.AddColumn("random heads, mean ± deviation");
        foreach (var control in qualified)
        {
            table.AddColumn(new TableColumn(new Text($"in {control.Relation}")));
        }

        for (var count = 0; count < result.Accuracies.Count; count++)
        {
            var (mean, deviation) = result.RandomAccuracy(count);
            table.AddRow(
            [
                new Text(count.ToString(CultureInfo.InvariantCulture)),
                new Text(count == 0 ? "-" : result.Heads[count - 1].ToString()),
                Number(result.Accuracies[count]),
                new Text(double.IsNaN(mean) ? "-" : string.Create(CultureInfo.InvariantCulture, $"{mean:0.00} ± {deviation:0.00}")),
                .. qualified.Select(c => Number(c.Accuracies![count])),
            ]);
        }

        console.Write(table);
    }

    private static Text Number(float value) => new(value.ToString("0.00", CultureInfo.InvariantCulture));
}
