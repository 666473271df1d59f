using HeadScope.Notebooks.Plotly;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>What a Lorsa head gathers at one token: the text, coloured by the contribution of each token to z there.</summary>
    /// <param name="pattern">The z-pattern.</param>
    /// <param name="position">The token that gathers; the one at which the head is most active when null.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token.</exception>
    public static Figure ZPattern(ZPattern pattern, int? position = null)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var at = position ?? pattern.Peak;
        ArgumentOutOfRangeException.ThrowIfNegative(at, nameof(position));
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(at, pattern.Tokens.Count, nameof(position));
        var tokens = pattern.TokenTexts;
        using var scope = NewDisposeScope();
        return ColoredText(
            tokens,
            Grid.Numbers(pattern.Contributions[at]),
            $"Lorsa head {pattern.Head}: what makes z = {PlotlyText.Number((float)pattern.PreActivations[at])} at '{tokens[at].Replace(' ', '·')}' (position {at})",
            "contribution");
    }

    /// <summary>Where a Lorsa head is active in a text: the text, coloured by its activation at each token.</summary>
    /// <param name="pattern">The z-pattern on the text.</param>
    /// <returns>The figure.</returns>
    public static Figure Activations(ZPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        return ColoredText(pattern.TokenTexts, Grid.Numbers(pattern.Activations), $"Lorsa head {pattern.Head}: activation", "activation");
    }

    /// <summary>Which of the model's own heads a Lorsa head comes from: its share in each.</summary>
    /// <param name="head">The Lorsa head.</param>
    /// <returns>The figure.</returns>
    public static Figure HeadOrigin(LorsaHead head)
    {
        ArgumentNullException.ThrowIfNull(head);
        var needed = head.HeadsFor();
        return Bars(
            [.. head.Shares.Select((share, h) => (new Head(head.Origin.Layer, h).ToString(), share, 0.0))],
            $"Which heads it comes from: {needed} {(needed == 1 ? "makes" : "make")} up 90 %",
            "share");
    }

    /// <summary>A Lorsa head at a glance: the model's heads it comes from, the tokens it reads, and those whose logits it raises and lowers.</summary>
    /// <param name="head">The head.</param>
    /// <param name="rows">How many tokens each panel shows at most.</param>
    /// <returns>The figure.</returns>
    public static Figure Dashboard(LorsaHead head, int rows = 10)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        (string Title, (string Label, double Value)[] Bars)[] panels =
        [
            ("comes from", [.. head.Shares.Select((share, h) => ($"head {h}", share)).OrderByDescending(bar => bar.share).Take(rows)]),
            ("reads", Top(head.Reads)),
            ("promotes", Top(head.Promotes)),
            ("suppresses", Top(head.Suppresses)),
        ];
        var axes = new Dictionary<string, Axis>(StringComparer.Ordinal);
        var traces = new List<Trace>();
        var titles = new List<Annotation>();
        for (var i = 0; i < panels.Length; i++)
        {
            var (left, top) = (i % 2 == 0 ? 0.0 : 0.58, i < 2 ? 0.58 : 0.0);
            var name = i == 0 ? "" : (i + 1).ToString(System.Globalization.CultureInfo.InvariantCulture);
            axes[$"x{name}"] = new Axis { Domain = [left, left + 0.42], Anchor = $"y{name}", NTicks = 4 };
            axes[$"y{name}"] = Labelled(null, [.. panels[i].Bars.Select(bar => bar.Label)], reversed: true) with
            {
                Domain = [top, top + 0.38],
                Anchor = $"x{name}",
                TickFont = new Font { Family = FigureStyle.Monospace, Size = 11 },
            };
            traces.Add(new Bar
            {
                Orientation = "h",
                X = panels[i].Bars.Select(bar => bar.Value).ToArray(),
                Y = Enumerable.Range(0, panels[i].Bars.Length).ToArray(),
                XAxis = i == 0 ? null : $"x{name}",
                YAxis = i == 0 ? null : $"y{name}",
                Marker = new Marker { Color = FigureStyle.Light.Palette[i] },
                Text = [.. panels[i].Bars.Select(bar => $"{bar.Label}: {PlotlyText.Number(bar.Value)}")],
                TextPosition = "none",
                HoverTemplate = "%{text}<extra></extra>",
                ShowLegend = false,
            });
            titles.Add(PanelTitle(panels[i].Title, left + 0.21) with { Y = top + 0.39 });
        }

        return new Figure(
            traces,
            new Layout
            {
                Title = $"Lorsa head {head.Index}, attention pattern of QK head {head.QkHead}",
                Width = 760,
                Height = (Math.Max(4, panels.Max(panel => panel.Bars.Length)) * 40.0) + 190,
                Margin = new Margin { T = 84 },
                Annotations = titles,
                Axes = axes,
                BarGap = 0.25,
            },
            head.ToString());

        (string, double)[] Top(IReadOnlyList<(int Token, string Text, float Score)> scores) => [.. scores.Take(rows).Select(score => (PlotlyText.Token(score.Text), (double)score.Score))];
    }

    /// <summary>The places where a Lorsa head is most active, each with the tokens before and after it.</summary>
    /// <param name="activities">The activity of all heads.</param>
    /// <param name="head">The head.</param>
    /// <param name="text">The text of a token, such as <c>model.Tokenizer.TokenText</c>.</param>
    /// <param name="places">How many places are shown at most.</param>
    /// <param name="before">How many tokens before each place are shown at most.</param>
    /// <param name="after">How many tokens after it.</param>
    /// <returns>The figure, a table.</returns>
    public static Figure TopActivations(HeadActivities activities, int head, Func<int, string> text, int places = 16, int before = 14, int after = 4)
    {
        ArgumentNullException.ThrowIfNull(activities);
        ArgumentNullException.ThrowIfNull(text);
        // The words next to the place matter most, so a text that is too long for its column loses its beginning.
        const int Column = 50;
        string Ending(IEnumerable<int> tokens)
        {
            var whole = Join(tokens);
            return whole.Length <= Column ? whole : "…" + whole[(char.IsLowSurrogate(whole[^Column]) ? whole.Length - Column + 1 : whole.Length - Column)..];
        }

        string Join(IEnumerable<int> tokens) => string.Concat(tokens.Select(text)).Replace("\n", "↵", StringComparison.Ordinal);
        return Table(
            ["activation", "before", "token", "after"],
            [
                .. activities.Top(head).Take(places).Where(top => top.Tokens.Count > top.Position).Select(top => (IReadOnlyList<string>)
                [
                    PlotlyText.Number(top.Activation),
                    Ending(top.Tokens.Take(top.Position).TakeLast(before)),
                    Join([top.Tokens[top.Position]]),
                    Join(top.Tokens.Skip(top.Position + 1).Take(after)),
                ]),
            ],
            $"Lorsa head {head}, active at {(float)activities.Frequencies[head]:P2} of tokens",
            [1, 5, 1.4, 2.2]);
    }
}
