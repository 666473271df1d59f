using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

/// <summary>
/// What a notebook prints, cell by cell, and the comparison with the text that is kept in <c>Frozen</c>: printed text as it is, result tables by
/// what stands in their rows, figures by their presence. Cells that show nothing do not count. In the kept text <c>‹0.64±0.02›</c> is a number with
/// its tolerance and <c>‹…›</c> any text; all else must be equal.
/// </summary>
internal static partial class FrozenText
{
    /// <summary>The text of each cell that shows something.</summary>
    public static List<string> Of(NotebookFile notebook) =>
    [
        .. notebook.Cells.OfType<JsonObject>().Select(cell => (cell["outputs"] as JsonArray ?? []).OfType<JsonObject>().ToList())
            .Where(outputs => outputs.Count > 0)
            .Select(outputs => string.Join('\n', outputs.Select(output => Of(output).TrimEnd('\n')))),
    ];

    /// <summary>The kept text of a notebook, as <see cref="Of(NotebookFile)"/> gives it.</summary>
    public static List<string> Kept(string path) =>
        [.. File.ReadAllText(path).Split("=== ").Skip(1).Select(cell => cell[(cell.IndexOf('\n', StringComparison.Ordinal) + 1)..].TrimEnd('\n'))];

    /// <summary>What is wrong with the text of a cell; null if nothing is.</summary>
    public static string? Difference(string kept, string found)
    {
        var (pattern, limits) = (new StringBuilder("^"), new List<(double Expected, double Tolerance)>());
        var end = 0;
        foreach (var place in Places().EnumerateMatches(kept))
        {
            pattern.Append(Regex.Escape(kept[end..place.Index]));
            end = place.Index + place.Length;
            var inside = kept[(place.Index + 1)..(end - 1)];
            if (inside == "…")
            {
                pattern.Append(@"[\s\S]*?");
                continue;
            }

            double[] numbers = [.. inside.Split('±').Select(n => double.Parse(n, CultureInfo.InvariantCulture))];
            limits.Add((numbers[0], numbers[1]));
            pattern.Append(@"(-?[0-9]+(?:\.[0-9]+)?)");
        }

        pattern.Append(Regex.Escape(kept[end..])).Append('$');
        var match = Regex.Match(found, pattern.ToString(), RegexOptions.CultureInvariant, TimeSpan.FromSeconds(10));
        if (!match.Success)
        {
            return FirstDifference(kept.Split('\n'), found.Split('\n'));
        }

        var outside = limits.Select((limit, i) => (limit, Found: double.Parse(match.Groups[i + 1].ValueSpan, CultureInfo.InvariantCulture)))
            .Where(n => Math.Abs(n.Found - n.limit.Expected) > n.limit.Tolerance + 1e-9).ToList();
        return outside.Count == 0 ? null : string.Join('\n', outside.Select(n => $"{n.Found} is not {n.limit.Expected} ± {n.limit.Tolerance}"));
    }

    /// <summary>The text of one output: what it prints, the rows of its table, or that it is a figure.</summary>
    public static string Of(JsonObject output)
    {
        if (output["data"] is not JsonObject data)
        {
            return NotebookFile.Joined(output["text"]);
        }

        var html = data["text/html"] is { } node ? NotebookFile.Joined(node) : "";
        if (data[ChartOutput.MimeType] is not null || html.Contains("role=\"group\"", StringComparison.Ordinal))
        {
            return "[figure]";
        }

        return html.Contains("<table><thead>", StringComparison.Ordinal)
            ? string.Join('\n', Rows().Matches(html).Select(row => string.Join(
                " | ", Cells().Matches(row.Value).Select(cell => WebUtility.HtmlDecode(Tags().Replace(cell.Value, "")).Trim()))))
            : NotebookFile.Joined(data["text/plain"]);
    }

    // A line with a free place may stand for several, so the first line that differs is only sought up to there.
    private static string FirstDifference(string[] kept, string[] found)
    {
        var line = Enumerable.Range(0, Math.Max(kept.Length, found.Length))
            .First(i => i >= kept.Length || i >= found.Length || kept[i] != found[i]);
        return $"Line {line + 1} should be\n  {kept.ElementAtOrDefault(line)}\nand is\n  {found.ElementAtOrDefault(line)}";
    }

    [GeneratedRegex("‹(…|[^›]+±[^›]+)›")]
    private static partial Regex Places();

    [GeneratedRegex("<tr.*?</tr>", RegexOptions.Singleline)]
    private static partial Regex Rows();

    [GeneratedRegex("<t[hd].*?</t[hd]>", RegexOptions.Singleline)]
    private static partial Regex Cells();

    [GeneratedRegex("<[^>]+>")]
    private static partial Regex Tags();
}
