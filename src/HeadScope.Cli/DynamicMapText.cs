using System.Globalization;
using Spectre.Console;

namespace HeadScope.Cli;

/// <summary>Correlations of static and dynamic scores as a table.</summary>
internal static class DynamicMapText
{
    /// <summary>Prints the table.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="output">Where.</param>
    public static void Print(DynamicMap map, TextWriter output)
    {
        var console = TerminalOutput.Create(output);
        console.WriteLine("Pearson's r of static and dynamic scores over heads and prompts, with its p-value; without context all attention is on the source:");
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumns("relation", "without context", "with context", "suppression, without", "suppression, with", "n");
        foreach (var relation in map.Relations)
        {
            table.AddRow(
                new Text(relation.Relation),
                Cell(relation.Correlate(context: false)),
                Cell(relation.Correlate(context: true)),
                Cell(relation.Correlate(context: false, suppression: true)),
                Cell(relation.Correlate(context: true, suppression: true)),
                new Text(relation.Correlate(context: true).Count.ToString(CultureInfo.InvariantCulture)));
        }

        console.Write(table);
    }

    private static Text Cell(Correlation correlation) => new(double.IsNaN(correlation.R)
        ? "-"
        : string.Create(CultureInfo.InvariantCulture, $"{correlation.R:0.00} (p = {(correlation.PValue >= 0.001 ? $"{correlation.PValue:0.000}" : $"10^{correlation.Log10PValue:0}")})"));
}
