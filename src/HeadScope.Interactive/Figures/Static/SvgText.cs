using System.Globalization;
using System.Text;
using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <summary>The text of an SVG file, written piece by piece. Every string that is drawn is escaped here.</summary>
internal sealed class SvgText
{
    private readonly StringBuilder text = new();

    /// <summary>A number as SVG has it, to a hundredth of a pixel.</summary>
    public static string N(double value) => Math.Round(value, 2).ToString(CultureInfo.InvariantCulture);

    /// <summary>About how wide a text is, in pixels, by the widths that letters of common families have.</summary>
    public static double WidthOf(string text, double size, bool monospace = false) => monospace ? 0.605 * size * text.EnumerateRunes().Count() : text.EnumerateRunes().Sum(rune => rune.Value switch
    {
        'i' or 'j' or 'l' or '.' or ',' or '\'' or '|' or ':' or ';' or '·' or 'I' or ' ' => 0.29,
        'm' or 'w' or 'M' or 'W' or '@' or '%' => 0.87,
        >= 'A' and <= 'Z' => 0.68,
        >= 0x2E80 => 1.0,
        _ => 0.555,
    }) * size;

    /// <summary>Escapes a text for SVG and XML. Letters that XML does not allow become U+FFFD.</summary>
    public static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            escaped.Append(rune.Value switch
            {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                < 0x20 and not ('\t' or '\n') => "\uFFFD",
                0xFFFE or 0xFFFF => "\uFFFD",
                _ => rune.ToString(),
            });
        }

        return escaped.ToString();
    }

    /// <summary>Adds markup as it stands.</summary>
    public SvgText Raw(string markup)
    {
        text.Append(markup).Append('\n');
        return this;
    }

    /// <summary>Adds a rectangle, with a text that shows on hovering when given.</summary>
    public void Rectangle(double x, double y, double width, double height, string fill, string? hover = null, string? stroke = null) =>
        Raw($"""<rect x="{N(x)}" y="{N(y)}" width="{N(Math.Max(0, width))}" height="{N(Math.Max(0, height))}" fill="{Escape(fill)}"{Stroke(stroke)}{Close("rect", hover)}""");

    /// <summary>Adds a circle, with a text that shows on hovering when given.</summary>
    public void Circle(double x, double y, double radius, string fill, string? hover = null, string? stroke = null, double opacity = 1) =>
        Raw($"""<circle cx="{N(x)}" cy="{N(y)}" r="{N(radius)}" fill="{Escape(fill)}" fill-opacity="{N(opacity)}"{Stroke(stroke)}{Close("circle", hover)}""");

    /// <summary>Adds a line.</summary>
    public void Line(double x0, double y0, double x1, double y1, string color, double width = 1, string? dash = null, double opacity = 1) =>
        Raw($"""<line x1="{N(x0)}" y1="{N(y0)}" x2="{N(x1)}" y2="{N(y1)}" stroke="{Escape(color)}" stroke-width="{N(width)}"{Dash(dash)}{(opacity < 1 ? $" stroke-opacity=\"{N(opacity)}\"" : "")}/>""");

    /// <summary>Adds a line through points; a gap where a point is missing.</summary>
    public void Path(IEnumerable<(double X, double Y)?> points, string color, double width, string? dash, string? fill = null)
    {
        var path = new StringBuilder();
        var pen = 'M';
        foreach (var point in points)
        {
            if (point is var (x, y))
            {
                path.Append(pen).Append(N(x)).Append(' ').Append(N(y));
                pen = 'L';
            }
            else
            {
                pen = 'M';
            }
        }

        Raw($"""<path d="{path}" fill="{Escape(fill ?? "none")}" stroke="{Escape(color)}" stroke-width="{N(width)}" stroke-linejoin="round"{Dash(dash)}/>""");
    }

    /// <summary>Adds a label of Plotly: its line breaks are kept, its other markup is dropped.</summary>
    /// <param name="x">The horizontal place.</param>
    /// <param name="y">The vertical place of the middle of the text.</param>
    /// <param name="label">The label.</param>
    /// <param name="size">The size in pixels.</param>
    /// <param name="color">The colour.</param>
    /// <param name="anchor"><c>start</c>, <c>middle</c> or <c>end</c>.</param>
    /// <param name="turn">Degrees, clockwise.</param>
    /// <param name="family">The families, when not those of the figure.</param>
    /// <param name="bold">Whether it is bold.</param>
    public void Label(
        double x, double y, string label, double size, string color, string anchor = "middle", double turn = 0, string? family = null, bool bold = false)
    {
        var lines = Notebooks.Plotly.PlotlyText.Plain(label).Split('\n');
        var top = y + (size * 0.35) - ((lines.Length - 1) * size * 0.6);
        var turned = turn == 0 ? "" : $" transform=\"rotate({N(turn)} {N(x)} {N(y)})\"";
        var font = family is null ? "" : $" font-family=\"{Escape(family)}\"";
        var weight = bold ? " font-weight=\"600\"" : "";
        for (var i = 0; i < lines.Length; i++)
        {
            Raw($"""<text x="{N(x)}" y="{N(top + (i * size * 1.2))}" font-size="{N(size)}" fill="{Escape(color)}" text-anchor="{anchor}" xml:space="preserve"{font}{weight}{turned}>{Escape(lines[i])}</text>""");
        }
    }

    /// <inheritdoc/>
    public override string ToString() => text.ToString();

    private static string Close(string element, string? hover) => hover is null ? "/>" : $"><title>{Escape(hover)}</title></{element}>";

    private static string Stroke(string? color) => color is null ? "" : $" stroke=\"{Escape(color)}\"";

    private static string Dash(string? dash) => dash switch
    {
        "dot" => " stroke-dasharray=\"2 3\"",
        "dash" => " stroke-dasharray=\"6 4\"",
        _ => "",
    };
}
