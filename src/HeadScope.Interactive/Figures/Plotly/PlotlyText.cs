using System.Globalization;
using System.Text;

namespace HeadScope.Notebooks.Plotly;

/// <summary>
/// Text for Plotly, which reads a little HTML (&lt;b&gt;, &lt;br&gt;, entities) and LaTeX between dollars in every string it draws.
/// Whatever comes from a model, a prompt or a file is data and is escaped here, so that it shows as the text that it is.
/// </summary>
public static class PlotlyText
{
    /// <summary>Escapes a text so that Plotly draws it letter by letter.</summary>
    /// <param name="text">Any text.</param>
    /// <returns>The text with <c>&amp;</c>, <c>&lt;</c>, <c>&gt;</c>, <c>$</c> and <c>%</c> as entities and line breaks as <c>↵</c>.</returns>
    public static string Escape(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var escaped = new StringBuilder(text.Length + 16);
        foreach (var letter in text)
        {
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
                _ when char.IsControl(letter) => "\uFFFD",
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
        return Escape(token.Replace(' ', '·'));
    }

    /// <summary>A number as figures show it, with four digits that count.</summary>
    /// <param name="value">The number.</param>
    /// <returns>Such as <c>0.1235</c> or <c>-</c> when it is not finite.</returns>
    public static string Number(double value) => double.IsFinite(value) ? value.ToString("G4", CultureInfo.InvariantCulture) : "-";

    /// <summary>Takes the markup of Plotly out again: the plain text of a label.</summary>
    /// <param name="label">A label with entities and tags.</param>
    /// <returns>The plain text; a line break in place of each <c>&lt;br&gt;</c>.</returns>
    internal static string Plain(string label)
    {
        var plain = new StringBuilder(label.Length);
        for (var i = 0; i < label.Length; i++)
        {
            if (label[i] == '<' && label.IndexOf('>', i) is var end and > 0)
            {
                if (label.AsSpan(i).StartsWith("<br", StringComparison.Ordinal))
                {
                    plain.Append('\n');
                }

                i = end;
            }
            else
            {
                plain.Append(label[i]);
            }
        }

        return System.Net.WebUtility.HtmlDecode(plain.ToString());
    }
}
