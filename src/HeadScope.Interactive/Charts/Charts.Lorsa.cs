using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>What a Lorsa head gathers at one token: the text, coloured by the contribution of each token to z there. That token has an outline.</summary>
    /// <param name="pattern">The z-pattern.</param>
    /// <param name="position">The token that gathers; the one at which the head is most active when null.</param>
    /// <param name="columns">How many letters a line has on a screen; on paper as many as fit the width, 58 in a column of 84 mm.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token, or a line has less than 30 letters.</exception>
    public static GenericChart ZPattern(ZPattern pattern, int? position = null, int columns = LineLetters)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var at = position ?? pattern.Peak;
        ArgumentOutOfRangeException.ThrowIfNegative(at, nameof(position));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(at, pattern.Tokens.Count, nameof(position));
        var z = pattern.PreActivations.Copied<float>()[at];
        return ColoredText(
            pattern.TokenTexts, Row(pattern, at), FormattableString.Invariant($"Lorsa head {pattern.Head}: what makes z = {PlotlyText.Number(z)} at '{PlotlyText.Dotted(pattern.TokenTexts[at])}' (position {at})"),
            "contribution to z", at, columns);
    }

    /// <summary>Where a Lorsa head is active in a text: the text, coloured by its activation at each token. The one where it is most active has an outline.</summary>
    /// <param name="pattern">The z-pattern on the text.</param>
    /// <param name="columns">How many letters a line has on a screen; on paper as many as fit the width, 58 in a column of 84 mm.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A line has less than 30 letters.</exception>
    public static GenericChart Activations(ZPattern pattern, int columns = LineLetters)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        return ColoredText(pattern.TokenTexts, pattern.Activations.Copied<float>(), FormattableString.Invariant($"Lorsa head {pattern.Head}: where it is active"), "activation", pattern.Peak, columns);
    }

    /// <summary>
    /// The places where a Lorsa head is most active, as lines of text: before each its activation there, and every token coloured by its contribution to z at
    /// the token with an outline. The colours are the same in all lines.
    /// </summary>
    /// <param name="places">z-patterns of one head, each with the position that is shown, as <see cref="HeadActivities.ZPatterns"/> finds them.</param>
    /// <param name="before">How many tokens before that one are shown at most.</param>
    /// <param name="after">How many tokens after it.</param>
    /// <param name="columns">How many letters a line has on a screen; on paper as many as fit the width, 58 in a column of 84 mm.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentException">There is no pattern, or they are of several heads.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative, or a line has less than 30 letters.</exception>
    public static GenericChart TopActivations(IReadOnlyList<(ZPattern Pattern, int Position)> places, int before = 20, int after = 4, int columns = LineLetters)
    {
        ArgumentNullException.ThrowIfNull(places);
        ArgumentOutOfRangeException.ThrowIfNegative(before);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        Fault.ArgumentIf(places.Count == 0, $"There are {places.Count} z-patterns; expected one at least.");
        var indices = places.Select(place => place.Pattern.Head).Distinct().ToArray();
        Fault.ArgumentIf(indices.Length > 1, $"The z-patterns are of {indices.Length} heads; expected those of one.");
        var shown = places.Select(place =>
        {
            var (pattern, at) = place;
            var (row, activations) = (Row(pattern, at), pattern.Activations.Copied<float>());
            var (from, to) = (Math.Max(0, at - before), Math.Min(pattern.Tokens.Count, at + after + 1));
            var tokens = Enumerable.Range(from, to - from).Select(i => (pattern.TokenTexts[i], row[i], i)).ToArray();

            // What is not shown of a z is told: its contributions may lie further back.
            return (Paragraph: new Paragraph(PlotlyText.Score(activations[at]), tokens, at - from), Activation: activations[at], Left: row.Take(from).Sum(Math.Abs), All: row.Sum(Math.Abs));
        }).ToArray();
        var (most, least) = (shown.Max(place => place.Activation), shown.Min(place => place.Activation));
        var left = shown.Max(place => place.All > 0 ? place.Left / place.All : 0);
        var title = FormattableString.Invariant($"Lorsa head {indices[0]}: where it is most active");
        return Text(
            [.. shown.Select(place => place.Paragraph)], title, "contribution to z", columns,
            FormattableString.Invariant($"{title}: {places.Count} places with activations from {PlotlyText.Number(most)} to {PlotlyText.Number(least)}, each up to {before} tokens before and {after} after the outlined one, coloured by contribution to z there; ")
            + FormattableString.Invariant($"tokens further back hold at most {left:P0} of the contributions."));
    }

    /// <summary>Which of the model's own heads a Lorsa head comes from: its share in each.</summary>
    /// <param name="head">The Lorsa head.</param>
    /// <returns>The chart.</returns>
    public static GenericChart HeadOrigin(LorsaHead head)
    {
        ArgumentNullException.ThrowIfNull(head);
        var needed = head.HeadsFor();
        var title = FormattableString.Invariant($"Lorsa head {head.Index}: {needed} {(needed == 1 ? "head of the model makes" : "heads of the model make")} up 90 %");
        return Bars([.. Shares(head).Select(share => (share.Label, share.Value, 0.0))], title, "share of the Lorsa head");
    }

    /// <summary>A Lorsa head at a glance: the model's heads it comes from, the tokens it reads, and those whose logits it raises and lowers.</summary>
    /// <param name="head">The head.</param>
    /// <param name="rows">How many bars each panel shows at most; the vocabulary's other tokens are left out.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A panel has no bar.</exception>
    public static GenericChart Dashboard(LorsaHead head, int rows = 10)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        (string Title, string Unit, IReadOnlyList<(string Label, double Value)> Bars)[] panels =
        [
            ("comes from head", "share", [.. Shares(head).OrderByDescending(bar => bar.Value).Take(rows)]),
            ("reads", "product with w_V", Top(head.Reads)),
            ("promotes", "change of logit", Top(head.Promotes)),
            ("suppresses", "change of logit", Top(head.Suppresses)),
        ];
        var most = panels.Max(panel => panel.Bars.Count);
        return Chart(
            panels.Select((panel, i) => Bars(panel.Bars.Select(bar => bar.Value), [.. panel.Bars.Select(bar => $"{bar.Label}: {PlotlyText.Number(bar.Value)}")], new { marker = Marker(new { color = ChartStyle.Palette[i] }) }).In(i)),
            Figure(FormattableString.Invariant($"Lorsa head {head.Index}, attention pattern of QK head {head.QkHead}"), 760, (Math.Max(4, most) * 44) + 210, new { margin = Margin(new { t = 84 }), showlegend = false, bargap = 0.25 })
                .Panels(panels.Select((panel, i) => new Panel(panel.Title, i % 2 == 0 ? (0, 0.4) : (0.6, 1), i < 2 ? (0.6, 1) : (0, 0.4),
                    Axis(panel.Unit, new { nticks = 4, zeroline = true }), Labelled(null, [.. panel.Bars.Select(bar => bar.Label)], reversed: true).With(new { tickfont = Tokens() })))),
            $"{head}. Each panel shows the {rows} largest at most.", new PaperLayout(most + 1, 3.1));

        IReadOnlyList<(string, double)> Top(IReadOnlyList<(int Token, string Text, float Score)> scores) => [.. scores.Take(rows).Select(score => (Short(score.Text), (double)score.Score))];
    }

    private static IReadOnlyList<(string Label, double Value)> Shares(LorsaHead head) => [.. head.Shares.Select((share, h) => (new Head(head.Origin.Layer, h).ToString(), share))];

    // What each token adds at one; later ones add nothing.
    private static float[] Row(ZPattern pattern, int at)
    {
        using var scope = TorchSharp.torch.NewDisposeScope();
        return pattern.Contributions[at].Copied<float>();
    }
}
