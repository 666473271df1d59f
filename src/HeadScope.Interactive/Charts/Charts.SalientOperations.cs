using System.Globalization;
using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>
    /// What a head does (MAPS, section 5): a row for each source token that it amplifies most, with the tokens that it maps it to, largest logit
    /// first; the darker a cell, the larger the logit.
    /// </summary>
    /// <param name="operations">The salient operations.</param>
    /// <param name="head">The head, one of theirs; null for the first.</param>
    /// <param name="rows">How many source tokens are shown at most.</param>
    /// <param name="targets">How many targets of each are shown at most.</param>
    /// <param name="suppressed">Whether the tokens with the smallest logits are shown instead.</param>
    /// <returns>The chart; the caption says how many rows and targets of the result are not shown.</returns>
    /// <exception cref="ArgumentException">The head is not among these.</exception>
    /// <exception cref="ArgumentOutOfRangeException">No rows or no targets are asked for.</exception>
    public static GenericChart SalientOperations(SalientOperations operations, Head? head = null, int rows = 20, int targets = 5, bool suppressed = false)
    {
        ArgumentNullException.ThrowIfNull(operations);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(targets, 1);
        var shown = head ?? operations.Heads[0];
        var all = operations[shown];
        (string Source, double Amplification, (string Text, double Logit)[] Targets)[] lines =
        [
            .. all.Take(rows).Select(operation => (
                PlotlyText.Named(operation.Text, operation.Token), (double)operation.Amplification,
                (suppressed ? operation.Suppressed : operation.Targets).Take(targets).Select(target => (PlotlyText.Named(target.Text, target.Token), (double)target.Logit)).ToArray())),
        ];

        // As many letters as a column of a paper has room for; longer tokens go on in the next line.
        var letters = Math.Max(6, 52 / Math.Max(1, lines.Max(line => line.Targets.Length)));
        var cells = lines.Select(line => line.Targets.Select(target => Wrapped(target.Text, letters)).ToArray()).ToArray();
        var height = cells.SelectMany(row => row).Select(cell => cell.Length).DefaultIfEmpty(1).Max();
        var plot = 14 + (lines.Length * (10 + (15.0 * height)));
        var logits = lines.SelectMany(line => line.Targets).Select(target => target.Logit).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var (verb, left) = (suppressed ? "suppresses" : "maps them to", (Rows: all.Count - lines.Length, Targets: (suppressed ? all[0].Suppressed : all[0].Targets).Count - lines[0].Targets.Length));
        return Chart(
            [
                Cells([.. lines.Select(line => line.Targets.Select(target => target.Logit).ToArray())], suppressed ? logits.Min() : Math.Min(0, logits.Min()), suppressed ? Math.Max(0, logits.Max()) : logits.Max(), Pale(suppressed), new
                {
                    text = cells.Select(row => row.Select(cell => string.Join("<br>", cell.Select(PlotlyText.Escape))).ToArray()).ToArray(), texttemplate = "%{text}",
                    textfont = Font(new { size = ChartStyle.FontSize - 1, color = ChartStyle.Ink }),
                    colorbar = ColorBar("logit\u2007").With(new { orientation = "h", thickness = 16, len = 0.6, x = 0.5, xanchor = "center", y = -60 / plot, yanchor = "top", nticks = 4 }),
                }).Telling(lines.Select(line => line.Targets.Select(target =>
                    $"{PlotlyText.Token(line.Source)} → {PlotlyText.Token(target.Text)}<br>logit {PlotlyText.Number(target.Logit)}<br>amplification {PlotlyText.Number(line.Amplification)}").ToArray()).ToArray()),
            ],
            Figure($"What head {shown} of {PlotlyText.Escape(operations.Model)} {(suppressed ? "suppresses" : "does")}", 760, plot + 176, new
            {
                margin = Margin(new { b = 116 }),
                xaxis = Labelled(suppressed ? "suppressed, strongest first (rank)" : "mapped to, largest logit first (rank)", [.. Enumerable.Range(1, lines.Max(line => line.Targets.Length)).Select(rank => rank.ToString(CultureInfo.InvariantCulture))]),
                yaxis = Labelled("source token (amplification)", [.. lines.Select(line => $"{string.Join("<br>", Wrapped(line.Source, 16).Select(PlotlyText.Escape))} ({PlotlyText.Score(line.Amplification)})")], reversed: true)
                    .With(new { tickfont = Font(new { size = ChartStyle.FontSize - 1 }) }),
            }),
            $"The {lines.Length} tokens that head {shown} of {operations.Model} amplifies most, and the {lines[0].Targets.Length} tokens that it {verb} most, from the parameters alone: "
            + string.Join("; ", lines.Take(3).Select(line => $"{line.Source} ({PlotlyText.Score(line.Amplification)}) → {string.Join(", ", line.Targets.Take(3).Select(target => target.Text))}")) + (lines.Length > 3 ? "; …" : ".")
            + (left.Rows + left.Targets > 0 ? $" Not shown: {left.Rows} more sources, {left.Targets} more tokens of each." : ""),
            new PaperLayout(lines.Length, 1.4 + (2.6 * height)));
    }

    /// <summary>The light half of the scale, on which text of one colour can be read.</summary>
    private static object[][] Pale(bool reversed)
    {
        var colors = ChartStyle.Sequential.Take(3).Select(stop => stop[1]);
        return [.. (reversed ? colors.Reverse() : colors).Select((color, i) => new[] { i / 2.0, color })];
    }

    /// <summary>The lines of a text that has no place to break at, alike in width; of more than three the rest is an ellipsis.</summary>
    private static string[] Wrapped(string text, int letters)
    {
        var elements = TokenLines.Letters(text);
        var (all, at) = (elements.Sum(element => element.Width), 0);
        var count = Math.Max(1, (all + letters - 1) / letters);
        string[] lines = [.. elements.GroupBy(element => ((at += element.Width) - element.Width) * count / all).Select(line => string.Concat(line.Select(element => element.Text)))];
        return lines.Length <= 3 ? lines : [.. lines[..2], $"{lines[2]}…"];
    }
}
