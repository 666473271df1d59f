using System.Globalization;
using System.Net;

namespace HeadScope;

/// <summary>Tokens in lines of letters that are all equally wide, for lines of any length: a token stays whole where it fits in a line.</summary>
internal sealed class TokenLines
{
    // The widest that is not broken; the narrowest lines that are set have as many letters.
    private const int Longest = 30;

    private readonly List<Piece> pieces = [];
    private Start start = Start.Paragraph;

    /// <summary>How a piece begins.</summary>
    public enum Start
    {
        /// <summary>In the same line as the piece before it, where room is.</summary>
        Here,

        /// <summary>In a new line.</summary>
        Line,

        /// <summary>In a new line, half a line below.</summary>
        Paragraph,
    }

    /// <summary>A token, or a part of a long one.</summary>
    /// <param name="Token">Which token it is of.</param>
    /// <param name="Text">Its letters, escaped for plotly.js.</param>
    /// <param name="Width">How many letters wide it is.</param>
    /// <param name="Start">How it begins.</param>
    public readonly record struct Piece(int Token, string Text, int Width, Start Start);

    /// <summary>All pieces, in order.</summary>
    public IReadOnlyList<Piece> Pieces => pieces;

    /// <summary>Adds the next token.</summary>
    public void Add(int token, string text)
    {
        var letters = Letters(PlotlyText.Dotted(text)) is { Length: > 0 } some ? some : [("∅", 1)];
        while (letters.Length > 0)
        {
            var (count, width) = (0, 0);
            while (count < letters.Length && width + letters[count].Width <= Longest)
            {
                width += letters[count++].Width;
            }

            pieces.Add(new(token, PlotlyText.Escape(string.Concat(letters.Take(count).Select(letter => letter.Text))), width, start));
            (letters, start) = (letters[count..], Start.Here);
        }

        start = text.EndsWith('\n') ? Start.Line : Start.Here;
    }

    /// <summary>What is added next begins a paragraph.</summary>
    public void NextParagraph() => start = Start.Paragraph;

    /// <summary>Where pieces stand.</summary>
    /// <param name="widths">How wide each is.</param>
    /// <param name="starts">How each begins.</param>
    /// <param name="columns">How many letters a line has.</param>
    /// <param name="indent">How many of them stay free at its beginning.</param>
    /// <returns>The place of each, and how many lines there are.</returns>
    public static ((double Line, int Column)[] Places, double Lines) Set(IReadOnlyList<int> widths, IReadOnlyList<Start> starts, int columns, int indent)
    {
        var places = new (double, int)[widths.Count];
        var (line, column) = (0.0, indent);
        for (var i = 0; i < places.Length; i++)
        {
            if (i > 0 && (starts[i] != Start.Here || (column > indent && column + widths[i] > columns)))
            {
                (line, column) = (line + (starts[i] == Start.Paragraph ? 1.5 : 1), indent);
            }

            places[i] = (line, column);
            column += widths[i];
        }

        return (places, line + 1);
    }

    /// <summary>What is seen of a text, letter by letter: marks without a shape by their number; letters of East Asia are twice as wide as others.</summary>
    public static (string Text, int Width)[] Letters(string text)
    {
        List<(string, int)> letters = [];
        for (var elements = StringInfo.GetTextElementEnumerator(WebUtility.HtmlDecode(PlotlyText.Escape(text))); elements.MoveNext();)
        {
            var element = elements.GetTextElement();
            letters.Add((element, IsWide(char.ConvertToUtf32(element, 0)) ? 2 : 1));
        }

        return [.. letters];
    }

    // Letters of China, Japan and Korea, and emoji, are twice as wide.
    private static bool IsWide(int letter) => letter is (>= 0x1100 and <= 0x115F) or (>= 0x2E80 and <= 0xA4CF) or (>= 0xAC00 and <= 0xD7A3) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0xFE30 and <= 0xFE6F) or (>= 0xFF00 and <= 0xFF60) or (>= 0xFFE0 and <= 0xFFE6) or (>= 0x1F300 and <= 0x1FAFF) or (>= 0x20000 and <= 0x3FFFD);
}
