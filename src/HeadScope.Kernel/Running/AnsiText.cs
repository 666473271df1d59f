using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace HeadScope.Notebooks.Running;

/// <summary>Text with the colour escapes of a terminal, as it stands in tracebacks.</summary>
internal static partial class AnsiText
{
    /// <summary>The text without its escapes.</summary>
    /// <param name="text">The text.</param>
    public static string Plain(string text) => Escape().Replace(text, "");

    /// <summary>The text as HTML, with its bold, dim and red parts; everything else is escaped.</summary>
    /// <param name="text">The text.</param>
    public static string Html(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var html = new StringBuilder();
        var open = 0;
        var at = 0;
        foreach (Match escape in Escape().Matches(text))
        {
            html.Append(WebUtility.HtmlEncode(text[at..escape.Index]));
            at = escape.Index + escape.Length;
            var style = escape.Groups["code"].Value switch
            {
                "1" => "font-weight: bold",
                "2" => "opacity: .65",
                "31" => "color: #c0392b",
                _ => null,
            };
            if (style is not null)
            {
                html.Append($"<span style=\"{style}\">");
                open++;
            }
            else
            {
                html.Insert(html.Length, "</span>", open);
                open = 0;
            }
        }

        html.Append(WebUtility.HtmlEncode(text[at..])).Insert(html.Length, "</span>", open);
        return html.ToString();
    }

    [GeneratedRegex(@"\x1b\[(?<code>[0-9;]*)[A-Za-z]", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Escape();
}
