namespace HeadScope;

public static partial class Figures
{
    /// <summary>What a head does (MAPS): the source tokens that it amplifies most, each with the tokens that it maps them to, as a table.</summary>
    /// <param name="operations">The salient operations.</param>
    /// <param name="head">The head, one of theirs; null for the first.</param>
    /// <param name="rows">How many source tokens are shown at most.</param>
    /// <param name="targets">How many targets of each are shown at most.</param>
    /// <returns>The figure.</returns>
    public static Figure SalientOperations(SalientOperations operations, Head? head = null, int rows = 20, int targets = 5)
    {
        ArgumentNullException.ThrowIfNull(operations);
        var shown = head ?? operations.Heads[0];
        return Table(
            ["source", "amplification", "mapped to"],
            [
                .. operations[shown].Take(rows).Select(operation => (IReadOnlyList<string>)
                [
                    Visible(operation.Text, operation.Token),
                    Score(operation.Amplification),
                    string.Join("  ", operation.Targets.Take(targets).Select(target => Visible(target.Text, target.Token))),
                ]),
            ],
            $"What head {shown} of {operations.Model} does",
            [1.3, 1, 4]);
    }

    /// <summary>A token in a sentence or table of plain text: its spaces visible, its number when it has no text.</summary>
    private static string Visible(string text, int token) => text.Length == 0 ? $"#{token}" : text.Replace(' ', '·');
}
