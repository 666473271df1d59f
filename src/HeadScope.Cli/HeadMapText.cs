using System.Globalization;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary>A head map as text: a table of the strongest heads and a heat map, coloured where the terminal can.</summary>
internal static class HeadMapText
{
    /// <summary>Prints a map.</summary>
    /// <param name="map">The map.</param>
    /// <param name="top">How many heads are printed for each relation.</param>
    /// <param name="output">Where.</param>
    public static void Print(HeadMap map, int top, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        console.WriteLine($"{map}{(map.Shard.Of == 1 ? "" : $", part {map.ShardText}")}");
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumns("relation", "pairs", "k", "strongest heads (relation score)", "strongest suppressor");
        table.Columns[1].RightAligned();
        table.Columns[2].RightAligned();
        foreach (var relation in map.Relations)
        {
            table.AddRow(
                new Text(relation.Name),
                new Text(N(relation.Pairs.Count)),
                new Text(N(relation.K)),
                new Text(Heads(relation.Top(top))),
                new Text(Heads(relation.Top(1, suppression: true))));
        }

        console.Write(table);
        foreach (var skipped in map.Skipped.Rows)
        {
            console.WriteLine($"skipped {skipped["name"]}: {skipped["reason"]}");
        }

        console.WriteLine();
        console.WriteLine(map.Relations.Count == 1
            ? $"Relation scores for {map.Relations[0].Name}, in hundredths; rows are layers, columns are heads:"
            : "The strongest relation score of each head, in hundredths; rows are layers, columns are heads:");
        Heat(map, console);
        console.WriteLine();
    }

    private static void Heat(HeadMap map, IAnsiConsole console)
    {
        var end = map.Relations.SelectMany(r => r.Top(1)).Select(s => s.Score).DefaultIfEmpty(0).Max();
        var width = map.HeadCount * 4 + 5 <= console.Profile.Width ? 4 : 2;
        console.Write(new Text("     " + string.Concat(Enumerable.Range(0, map.HeadCount).Select(head => N(head % (width == 2 ? 10 : 1000)).PadLeft(width - 1) + " ")) + "\n"));
        for (var layer = 0; layer < map.LayerCount; layer++)
        {
            var line = new Paragraph(N(layer).PadLeft(4) + " ");
            for (var index = 0; index < map.HeadCount; index++)
            {
                var score = map.Relations.Max(relation => relation.Of(new Head(layer, index)).Score);
                var text = float.IsNaN(score) ? "." : N((int)Math.Round(score * 100));
                var cell = width == 2 ? "  " : text.PadLeft(width - 1) + " ";
                var place = end > 0 && !float.IsNaN(score) ? score / end : 0;
                var (fill, ink) = ChartStyle.At(ChartStyle.Sequential, place);
                line.Append(cell, Style.Parse($"{(ink == ChartStyle.Paper ? "white" : "black")} on {fill}"));
            }

            console.Write(line);
            console.WriteLine();
        }
    }

    private static string Heads(IReadOnlyList<HeadScore> scores) => scores.Count == 0
        ? "-"
        : string.Join(", ", scores.Select(score => string.Create(CultureInfo.InvariantCulture, $"{score.Head} ({score.Score:0.00})")));

    private static string N(int value) => value.ToString(CultureInfo.InvariantCulture);
}
