using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

/// <summary>
/// The numbers in the text of the shipped notebooks: each with a decimal point or a percent sign is one that a cell prints, a stored figure shows, the stored
/// text of a section on a real model holds, or the card of the demo model, rounded as the text has it.
/// </summary>
public partial class NotebookNumbersTests
{
    public static TheoryData<string> Notebooks => ShippedNotebookTests.Notebooks;

    private static string Folder => Path.Combine(TestData.Repository, "notebooks");

    [Theory]
    [MemberData(nameof(Notebooks))]
    public void Numbers_in_the_text_are_those_that_cells_print(string name)
    {
        var cells = NotebookFile.Read(Path.Combine(Folder, name)).Cells.OfType<JsonObject>().ToList();
        var text = string.Join('\n', cells.Where(c => (string?)c["cell_type"] == "markdown").Select(c => NotebookFile.Joined(c["source"])));
        var shown = cells.SelectMany(c => (c["outputs"] as JsonArray ?? []).OfType<JsonObject>())
            .Select(output => $"{FrozenText.Of(output)}\n{NotebookFile.Joined(output["data"]?["text/plain"])}")
            .Concat(cells.Where(c => (string?)c["cell_type"] == "code").Select(c => NotebookFile.Joined(c["source"])))
            .Concat(Directory.EnumerateFiles(Path.Combine(Folder, "figures"), "*.txt").Append(Path.Combine(TestData.Repository, "data", "models", "demo", "MODEL_CARD.md")).Select(File.ReadAllText))
            .Concat(Directory.EnumerateFiles(Path.Combine(Folder, "figures"), name[..2] + "*.svg").Select(TextOf));
        Assert.Empty(Unheld(text, string.Join('\n', shown)));
    }

    [Theory]
    [InlineData("It falls from 75 % to 28 %.", "accuracy 0.7512, 0.28 without", "")]
    [InlineData("It falls from 75 % to 28 %.", "accuracy 0.7562, 0.28 without", "75 %")]
    [InlineData("by 4.60 logits, r = -0.3", "4.6049 and -0.31", "")]
    [InlineData("by 4.60 logits, r = -0.3", "4.6051 and 0.31", "4.60, -0.3")]
    [InlineData("head 23.4 leads", "23.5 and 23.41", "23.4")]
    [InlineData("`1.5` and $2.5$ and ([arXiv 2412.11965](https://x.org/3.5))", "", "")]
    public void A_number_that_nothing_shows_is_found(string text, string shown, string unheld) =>
        Assert.Equal(unheld, string.Join(", ", Unheld(text, shown)));

    private static IEnumerable<string> Unheld(string text, string shown)
    {
        var known = Numbers().Matches(shown).Select(m => m.Value.Trim()).ToHashSet(StringComparer.Ordinal);
        var values = known.Select(Value).ToArray();
        return Numbers().Matches(NotText().Replace(text, " ")).Select(m => m.Value.Trim()).Where(n => n.Contains('.') || n.Contains('%')).Distinct(StringComparer.Ordinal)
            .Where(n => !known.Contains(n) && !(Heads().IsMatch(n) ? [] : values).Any(v => Math.Abs(v - Value(n)) <= Half(n) * (1 + 1e-9)));
    }

    private static double Value(string number) =>
        number.EndsWith('%') ? Value(number[..^1].TrimEnd()) / 100 : double.Parse(number, NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

    /// <summary>Half of the last digit.</summary>
    private static double Half(string number)
    {
        var digits = number.TrimEnd('%', ' ');
        var decimals = digits.Contains('.') ? digits.Length - 1 - digits.IndexOf('.', StringComparison.Ordinal) : 0;
        return 0.5 * Math.Pow(10, -decimals - (number.EndsWith('%') ? 2 : 0));
    }

    private static string TextOf(string svg) => string.Join('\n', SvgText().Matches(File.ReadAllText(svg)).Select(m => WebUtility.HtmlDecode(m.Groups[1].Value)));

    [GeneratedRegex(@"(?<![\w.,-])-?\d[\d,]*(?:\.\d+)?(?:[  ]?%)?(?![\w]|\.\d)")]
    private static partial Regex Numbers();

    /// <summary>What is a head by its form, and counts only where exactly it is shown.</summary>
    [GeneratedRegex(@"^\d+\.\d$")]
    private static partial Regex Heads();

    /// <summary>Code, formulas, and addresses; and the number of a paper.</summary>
    [GeneratedRegex(@"`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|arXiv \d+\.\d+|^ {4}.*?$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex NotText();

    [GeneratedRegex("<t(?:ext|span)[^>]*>([^<]+)<")]
    private static partial Regex SvgText();
}
