using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    // As many letters as a line on a screen has.
    private const int LineLetters = 84;

    /// <summary>
    /// A text whose tokens are coloured by a number each: contributions of a z-pattern, attention, activations. When no number is negative the colours go
    /// from nothing to the largest; else from the most negative over nothing to the most positive.
    /// </summary>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="values">The number of each token; NaN is shown as nothing.</param>
    /// <param name="title">What is shown; any text.</param>
    /// <param name="valueName">What the numbers are; any text.</param>
    /// <param name="marked">The token with an outline, such as the one that is explained; null for none.</param>
    /// <param name="columns">How many letters a line has on a screen; on paper as many as fit the width, 58 in a column of 84 mm.</param>
    /// <returns>The chart; a longer token is broken, no token is left out.</returns>
    /// <exception cref="ArgumentException">There are not as many numbers as tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A line has less than 30 letters, or there is no such token to mark.</exception>
    public static GenericChart ColoredText(
        IReadOnlyList<string> tokens, IReadOnlyList<float> values, string title = "", string valueName = "value", int? marked = null, int columns = LineLetters)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(valueName);
        Fault.ArgumentIf(tokens.Count != values.Count, $"{values.Count} numbers do not colour {tokens.Count} tokens.");
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(marked ?? -1, tokens.Count, nameof(marked));
        ArgumentOutOfRangeException.ThrowIfNegative(marked ?? 0, nameof(marked));
        var largest = values.Count == 0 ? -1 : values.Index().MaxBy(value => float.IsFinite(value.Item) ? Math.Abs(value.Item) : -1).Index;
        return Text(
            [new("", [.. tokens.Select((token, i) => (token, values[i], i))], marked)], title, valueName, columns,
            $"{(title.Length > 0 ? title + ": " : "")}{tokens.Count} tokens coloured by {valueName}; "
            + (largest < 0 ? "there is none." : $"the largest is {PlotlyText.Number(values[largest])} at '{tokens[largest]}' (position {largest})."));
    }

    /// <summary>Paragraphs of coloured tokens, each with a label before it.</summary>
    private static GenericChart Text(IReadOnlyList<Paragraph> paragraphs, string title, string valueName, int columns, string caption)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 30);
        (string Token, float Value, int Position, bool Marked)[] all =
            [.. paragraphs.SelectMany(p => p.Tokens.Select((token, i) => (token.Token, token.Value, token.Position, i == p.Marked)))];
        var lines = new TokenLines();
        var labels = new List<(int Piece, string Text)>();
        var next = 0;
        foreach (var paragraph in paragraphs)
        {
            lines.NextParagraph();
            labels.Add((lines.Pieces.Count, PlotlyText.Escape(paragraph.Label)));
            foreach (var token in paragraph.Tokens)
            {
                lines.Add(next++, token.Token);
            }
        }

        var indent = paragraphs.Select(paragraph => paragraph.Label.Length).DefaultIfEmpty(0).Max();
        var pieces = lines.Pieces;
        var text = new PaperText(indent > 0 ? indent + 1 : 0, [.. pieces.Select(piece => piece.Width)], [.. pieces.Select(piece => piece.Start)]);
        var (places, height) = TokenLines.Set(text.Widths, text.Starts, columns, text.Indent);
        var (low, high, scale) = ChartStyle.ScaleOf(all.Select(token => (double)token.Value));
        var name = Short(valueName, 30);
        (string Fill, string Ink)[] colors = [.. all.Select(token => ChartStyle.At(scale, ((float.IsFinite(token.Value) ? token.Value : 0) - low) / (high - low)))];

        // One trace for each ink: plotly.js colours the texts of a trace alike where it draws them as one.
        var letters = pieces.Index().GroupBy(piece => colors[piece.Item.Token].Ink, StringComparer.Ordinal).Select(group =>
            Letters(group.Select(piece => (piece.Index, places[piece.Index].Column + (piece.Item.Width / 2.0), places[piece.Index].Line, piece.Item.Text)), "middle center", group.Key).Telling(
                group.Select(piece => all[piece.Item.Token]).Select(token => $"{PlotlyText.Token(token.Token)} (position {token.Position})<br>{name} {PlotlyText.Number(token.Value)}").ToArray()));

        // A box without an outline has one of its own colour: paper has no thinner line than half a pixel.
        var outlines = Line(new
        {
            width = pieces.Select(piece => all[piece.Token].Marked ? 2 : 0).ToArray(), color = pieces.Select(piece => all[piece.Token].Marked ? ChartStyle.Palette[1] : colors[piece.Token].Fill).ToArray(),
        });
        var boxes = Boxes([.. pieces.Index().Select(piece => (places[piece.Index].Line, places[piece.Index].Column + 0.05, piece.Item.Width - 0.1, colors[piece.Item.Token].Fill))], outlines)
            .With(new { customdata = Enumerable.Range(0, pieces.Count).ToArray() });

        // The scale stands in a line of its own above the text: from its low to its high end, and what the numbers are.
        var (from, to) = (PlotlyText.Number(low), PlotlyText.Number(high));
        const int Swatches = 24;
        var key = Boxes([.. Enumerable.Range(0, Swatches).Select(i => (KeyLine, from.Length + 1 + (i / 2.0), 0.5, ChartStyle.At(scale, i / (Swatches - 1.0)).Fill))], null);
        var ends = string.Concat(from, new string('\u00A0', (Swatches / 2) + 2), to, "\u00A0", name);
        (int, double, double, string)[] labelled = [.. labels.Where(label => label.Text.Length > 0).Select(label => (label.Piece, 0.0, places[label.Piece].Line, label.Text))];
        return Chart(
            [boxes, key, .. letters, .. labelled.Length > 0 ? [Letters(labelled, "middle right", ChartStyle.Muted)] : Array.Empty<Trace>(), Letters([(0, 0, KeyLine, ends)], "middle right", ChartStyle.Muted).With(new { customdata = Array.Empty<int>() })],
            new Layout().With(new
            {
                title = title.Length > 0 ? Title(PlotlyText.Escape(title)) : null, width = (int)(columns * LetterWidth) + 32, height = (int)((height - KeyLine) * LineHeight) + (title.Length > 0 ? 84 : 64),
                margin = Margin(new { l = 16, r = 16, t = title.Length > 0 ? 50 : 16, b = 16 }), hovermode = "closest", showlegend = false,
                xaxis = Axis(null, new { visible = false, range = new[] { 0, columns }, fixedrange = true }), yaxis = Axis(null, new { visible = false, range = new[] { height, KeyLine }, fixedrange = true }),
            }),
            caption,
            new PaperLayout(Text: text));
    }

    // A letter and a line on a screen, in pixels; and the line of the scale.
    private const double LetterWidth = 7.5, LineHeight = 20, KeyLine = -1.6;

    private static Trace2D Boxes(IReadOnlyList<(double Line, double Column, double Width, string Fill)> boxes, Line? line) => Bar(new
    {
        orientation = "h", y = boxes.Select(box => box.Line + 0.5).ToArray(), @base = boxes.Select(box => box.Column).ToArray(), x = boxes.Select(box => box.Width).ToArray(), width = 0.84, offset = -0.42,
        marker = Marker(new { color = boxes.Select(box => box.Fill).ToArray(), line }), hoverinfo = "skip", showlegend = false,
    });

    private static Trace2D Letters(IEnumerable<(int Piece, double X, double Line, string Text)> places, string position, string color) =>
        Texts(places.Select(place => (place.X, place.Line + 0.5, place.Text)), position, Tokens(12, color)).With(new { customdata = places.Select(place => place.Piece).ToArray() });

    /// <summary>A text of its own in a figure: its label, its tokens with their numbers and positions, and which of them has an outline.</summary>
    private sealed record Paragraph(string Label, IReadOnlyList<(string Token, float Value, int Position)> Tokens, int? Marked);
}
