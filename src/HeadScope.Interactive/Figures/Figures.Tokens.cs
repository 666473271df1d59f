using System.Globalization;
using HeadScope.Notebooks.Plotly;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>
    /// A text whose tokens are coloured by a number each: contributions of a z-pattern, attention, activations. When no number is negative
    /// the colours go from nothing to the largest; else from the most negative over nothing to the most positive.
    /// </summary>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="values">The number of each token.</param>
    /// <param name="title">What is shown.</param>
    /// <param name="valueName">What the numbers are.</param>
    /// <param name="columns">How many letters a line has.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">There are not as many numbers as tokens, or a line has no letter.</exception>
    public static Figure ColoredText(
        IReadOnlyList<string> tokens, IReadOnlyList<float> values, string title = "", string valueName = "value", int columns = 84)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 1);
        if (tokens.Count != values.Count)
        {
            throw new ArgumentException($"{values.Count} numbers do not colour {tokens.Count} tokens.", nameof(values));
        }

        const double LetterWidth = 7.83; // of 13 pixel letters of the monospaced families
        const double LineHeight = 25;
        var scale = TokenColors.For(values);
        var (x, y, text, hover, ink) = (new List<double>(), new List<double>(), new List<string>(), new List<string>(), new List<string>());
        var boxes = new List<Shape>();
        var (column, line) = (0, 0);
        for (var i = 0; i < tokens.Count; i++)
        {
            var shown = new StringInfo(tokens[i].Replace(' ', '·').Replace("\n", "↵", StringComparison.Ordinal));
            var length = Math.Max(1, shown.LengthInTextElements);
            if (column > 0 && column + length > columns)
            {
                (column, line) = (0, line + 1);
            }

            boxes.Add(new Shape
            {
                Type = "rect",
                X0 = column + 0.04,
                X1 = column + length - 0.04,
                Y0 = line + 0.08,
                Y1 = line + 0.92,
                FillColor = scale.Fill(values[i]),
                Line = new Line { Width = 0 },
                Layer = "below",
            });
            x.Add(column + (length / 2.0));
            y.Add(line + 0.5);
            text.Add(PlotlyText.Token(tokens[i]));
            hover.Add($"{PlotlyText.Token(tokens[i])} (position {i})<br>{PlotlyText.Escape(valueName)} {PlotlyText.Number(values[i])}");
            ink.Add(scale.Ink(values[i]));
            column += length;
            if (tokens[i].EndsWith('\n'))
            {
                (column, line) = (0, line + 1);
            }
        }

        var lines = line + 1;
        // One trace for each ink: Plotly colours the texts of a trace alike where it draws them as one.
        var traces = ink.Distinct(StringComparer.Ordinal).Select(Trace (color) =>
        {
            var chosen = Enumerable.Range(0, ink.Count).Where(i => ink[i] == color).ToArray();
            return new Scatter
            {
                Mode = "text",
                X = chosen.Select(i => x[i]).ToArray(),
                Y = chosen.Select(i => y[i]).ToArray(),
                Text = [.. chosen.Select(i => text[i])],
                HoverText = [.. chosen.Select(i => hover[i])],
                HoverTemplate = "%{hovertext}<extra></extra>",
                TextPosition = "middle center",
                TextFont = new Font { Family = FigureStyle.Monospace, Size = 13, Color = color },
                ShowLegend = false,
            };
        }).ToArray();
        return new Figure(
            traces,
            new Layout
            {
                Title = title.Length > 0 ? PlotlyText.Escape(title) : null,
                Width = (columns * LetterWidth) + 32,
                Height = (lines * LineHeight) + (title.Length > 0 ? 66 : 32),
                Margin = new Margin { L = 16, R = 16, T = title.Length > 0 ? 50 : 16, B = 16 },
                Shapes = boxes,
                HoverMode = "closest",
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { Visible = false, Range = [0, columns], FixedRange = true },
                    ["y"] = new() { Visible = false, Range = [lines, 0], FixedRange = true },
                },
            },
            $"{(title.Length > 0 ? title + ": " : "")}{tokens.Count} tokens coloured by {valueName}; the largest is at "
            + (values.Count > 0 ? $"'{tokens[Largest(values)]}'." : "none."));
    }

    private static int Largest(IReadOnlyList<float> values)
    {
        var largest = 0;
        for (var i = 1; i < values.Count; i++)
        {
            largest = Math.Abs(values[i]) > Math.Abs(values[largest]) ? i : largest;
        }

        return largest;
    }
}
