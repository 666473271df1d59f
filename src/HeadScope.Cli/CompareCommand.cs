using System.CommandLine;
using System.Globalization;
using Microsoft.Data.Analysis;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary><c>headscope compare</c>: two head maps side by side.</summary>
internal static class CompareCommand
{
    /// <summary>Makes the verb.</summary>
    /// <returns>The command.</returns>
    public static Command Create()
    {
        var first = new Argument<string>("first") { Description = "A map of one model, from headscope map --output a.json." };
        var second = new Argument<string>("second") { Description = "A map of another model." };
        var threshold = new Option<double>("--threshold")
        {
            Description = "A head counts as implementing a relation from this score on.",
            HelpName = "0-1",
            DefaultValueFactory = _ => 0.3,
        };
        var output = new Option<string?>("--output", "-o") { Description = "Where to write the table: .csv, or a figure: .html, .svg, .pdf or .png.", HelpName = "file" };
        var verb = new Verb(
            "compare",
            "Compares how two models implement relations: their strongest heads, how many heads there are, and how deep they lie; and whether "
            + "heads that share a key-value head share functions (MAPS, arXiv 2412.11965, section 4.4).")
        {
            Examples = [("headscope compare gpt2.json pythia.json", "Two maps that were written before.")],
        };
        verb.Add(first);
        verb.Add(second);
        verb.Add(threshold);
        verb.Add(output);
        var pictures = new FigureSize.Options(verb);
        verb.Does((parsed, cancellation) =>
        {
            var size = pictures.Read(parsed);
            var path = parsed.GetValue(output);
            FigureFile.Require(path, [".csv", .. FigureFile.Endings]);
            HeadMap[] maps = [.. new[] { first, second }.Select(a => HeadMap.FromJson(File.ReadAllText(parsed.GetValue(a)!)))];
            cancellation.ThrowIfCancellationRequested();
            var limit = parsed.GetValue(threshold);
            var comparison = HeadMap.Compare(maps[0], maps[1], limit);
            Print(comparison, maps, limit, parsed.InvocationConfiguration.Output);
            foreach (var map in maps.Where(m => m.KeyValueHeadCount < m.HeadCount))
            {
                parsed.InvocationConfiguration.Output.WriteLine($"{map.Model}: heads that share a key-value head with a strong head, and others of its layer");
                foreach (var sharing in map.GroupSharing(limit).Rows.Where(s => (int)s["heads"] > 0))
                {
                    parsed.InvocationConfiguration.Output.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"  {sharing["relation"]}: {sharing["heads"]} heads; {sharing["group_score"]:0.000} in their groups, {sharing["layer_score"]:0.000} beside them"));
                }
            }

            string Csv() => comparison.ToCsv();
            ResultFiles.Write(path, Csv, Csv, parsed.InvocationConfiguration.Output, () => Charts.Comparison(maps[0], maps[1], limit), size, cancellation);
        });
        return verb;
    }

    private static void Print(DataFrame comparison, HeadMap[] maps, double threshold, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumn("relation");
        foreach (var map in maps)
        {
            table.AddColumn(new TableColumn(new Text($"{map.Model}: strongest, depth, heads")));
        }

        foreach (var row in comparison.Rows)
        {
            table.AddRow(new Text((string)row["relation"]), Cell(row, "first"), Cell(row, "second"));
        }

        console.Write(table);
        console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{comparison.Rows.Count(row => (int)row["first_heads"] > 0 && (int)row["second_heads"] > 0)} of {comparison.Rows.Count} relations have a head of at least {threshold:0.##} in both models."));
    }

    private static Text Cell(DataFrameRow row, string model) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"{row[$"{model}_strongest_head"]} {row[$"{model}_score"]:0.00}, {row[$"{model}_depth"]:0.00}, {row[$"{model}_heads"]}"));
}
