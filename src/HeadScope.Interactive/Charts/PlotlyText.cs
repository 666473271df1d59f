using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>
/// Text for plotly.js, which reads a little HTML (&lt;b&gt;, &lt;br&gt;, entities) and LaTeX between dollars in every string it draws. Whatever
/// comes from a model, a prompt or a file is data and is escaped here, so that it shows as the text that it is.
/// </summary>
public static class PlotlyText
{
    /// <summary>Escapes a text so that plotly.js draws it letter by letter.</summary>
    /// <param name="text">Any text.</param>
    /// <returns>The text with <c>&amp;</c>, <c>&lt;</c>, <c>&gt;</c>, <c>$</c> and <c>%</c> as entities, line breaks as <c>↵</c>, and what has no shape of its own
    /// (controls, marks that turn the direction of writing, halves of surrogate pairs) as <c>⟨U+202E⟩</c>.</returns>
    public static string Escape(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var escaped = new StringBuilder(text.Length + 16);
        for (var i = 0; i < text.Length; i++)
        {
            var letter = text[i];
            if (char.IsHighSurrogate(letter) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                escaped.Append(letter).Append(text[++i]);
                continue;
            }

            escaped.Append(letter switch
            {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '$' => "&#36;",
                '%' => "&#37;",
                '\n' => "↵",
                '\t' => "⇥",
                '\r' => "",
                _ when char.IsControl(letter) || char.IsSurrogate(letter) || IsUnseen(letter) => string.Create(CultureInfo.InvariantCulture, $"⟨U+{(int)letter:X4}⟩"),
                _ => letter.ToString(),
            });
        }

        return escaped.ToString();
    }

    /// <summary>A token as a label: escaped, with its spaces visible as <c>·</c>, since most tokens begin with one.</summary>
    /// <param name="token">The token's text.</param>
    /// <returns>The label.</returns>
    public static string Token(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return Escape(Dotted(token));
    }

    /// <summary>A text whose spaces can be seen.</summary>
    internal static string Dotted(string text) => text.Replace(' ', '·');

    /// <summary>The same of a token; its number when it has no text.</summary>
    internal static string Named(string text, int token) => text.Length == 0 ? string.Create(CultureInfo.InvariantCulture, $"#{token}") : Dotted(text);

    /// <summary>The name of a component of a model, <c>3.5</c> or <c>MLP 2</c>.</summary>
    internal static string Component(string name) => name.Replace("mlp", "MLP", StringComparison.Ordinal);

    /// <summary>A number as figures show it, with four digits that count.</summary>
    /// <param name="value">The number.</param>
    /// <returns>Such as <c>0.1235</c>, or <c>-</c> when it is not finite.</returns>
    public static string Number(double value) => double.IsFinite(value) ? value.ToString("G4", CultureInfo.InvariantCulture) : "-";

    /// <summary>A score, with two digits.</summary>
    internal static string Score(double value) => double.IsFinite(value) ? value.ToString("0.00", CultureInfo.InvariantCulture) : "-";

    /// <summary>A count, its thousands set apart.</summary>
    internal static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>A name as people write it: <c>country_to_capital</c> becomes <c>country to capital</c>.</summary>
    internal static string Spoken(string name) => Escape(name.Replace('_', ' '));

    // Marks of direction and of invisible formatting, and code points that are no characters.
    private static bool IsUnseen(char letter) =>
        letter is >= '\uFFFE' or (>= '\uFDD0' and <= '\uFDEF') || (CharUnicodeInfo.GetUnicodeCategory(letter) == UnicodeCategory.Format && letter is not '\u200D' and not '\u200C');
}
