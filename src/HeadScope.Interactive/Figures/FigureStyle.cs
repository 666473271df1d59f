using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace HeadScope;

/// <summary>How figures look: page and ink, fonts, and the colours of kinds, which differ for every common colour vision.</summary>
public sealed record FigureStyle
{
    /// <summary>The families of text.</summary>
    public const string SansSerif = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

    /// <summary>The families of text whose letters are all equally wide: tokens.</summary>
    public const string Monospace = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace";

    /// <summary>How many CSS pixels a millimetre has: 96 / 25.4.</summary>
    public const double PixelsPerMillimetre = 96 / 25.4;

    /// <summary>For light pages: the start.</summary>
    public static FigureStyle Light { get; } = new();

    /// <summary>For dark pages and slides.</summary>
    public static FigureStyle Dark { get; } = new()
    {
        IsDark = true,
        Paper = "#161b22",
        Ink = "#e6e9ee",
        Muted = "#9aa4b0",
        Grid = "#30363d",
        Palette = ["#56b4e9", "#e69f00", "#2fbf93", "#e58ac0", "#f0e442", "#ff8a4c", "#9ecbff", "#b8bec6"],
    };

    /// <summary>For one column of a two-column paper: 85 mm wide, 7.5 pt text.</summary>
    public static FigureStyle OneColumn { get; } = new() { FontSize = 10, Width = 85 * PixelsPerMillimetre };

    /// <summary>Across both columns of a two-column paper: 175 mm wide, 8 pt text.</summary>
    public static FigureStyle TwoColumns { get; } = new() { FontSize = 32.0 / 3, Width = 175 * PixelsPerMillimetre };

    /// <summary>Whether the page is dark.</summary>
    public bool IsDark { get; init; }

    /// <summary>The colour of the page.</summary>
    public string Paper { get; init; } = "#ffffff";

    /// <summary>The colour of text and lines.</summary>
    public string Ink { get; init; } = "#1f2328";

    /// <summary>The colour of what matters less.</summary>
    public string Muted { get; init; } = "#656d76";

    /// <summary>The colour of lines through plots.</summary>
    public string Grid { get; init; } = "#e1e5ea";

    /// <summary>The colours of kinds, in order; those of Okabe and Ito, who chose them for every common colour vision.</summary>
    public IReadOnlyList<string> Palette { get; init; } =
        ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#5c5f66"];

    /// <summary>The families of text.</summary>
    public string FontFamily { get; init; } = SansSerif;

    /// <summary>The size of text in pixels; 4/3 of it in points.</summary>
    public double FontSize { get; init; } = 13;

    /// <summary>The width of figures in pixels; null leaves it to the figure.</summary>
    public double? Width { get; init; }

    /// <summary>The colour of this style in place of one of the light style's, in which figures are made; any other colour stays.</summary>
    /// <param name="color">The colour.</param>
    [return: NotNullIfNotNull(nameof(color))]
    internal string? InPlaceOf(string? color)
    {
        if (!IsDark || color is null)
        {
            return color;
        }

        for (var i = 0; i < Light.Palette.Count; i++)
        {
            var tint = Light.Tint(i, 0)[..^2];
            if (color == Light.Palette[i])
            {
                return Palette[i % Palette.Count];
            }

            if (color.StartsWith(tint, StringComparison.Ordinal))
            {
                return Tint(i, 0)[..^2] + color[tint.Length..];
            }
        }

        return color == Light.Muted ? Muted : color == Light.Grid ? Grid : color == Light.Paper ? Paper : color;
    }

    /// <summary>The colour of a kind, with an opacity.</summary>
    /// <param name="index">Which kind.</param>
    /// <param name="opacity">From 0 to 1.</param>
    /// <returns>Such as <c>rgba(0,114,178,0.2)</c>.</returns>
    internal string Tint(int index, double opacity)
    {
        var hex = int.Parse(Palette[index % Palette.Count].AsSpan(1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return string.Create(CultureInfo.InvariantCulture, $"rgba({hex >> 16},{(hex >> 8) & 255},{hex & 255},{opacity})");
    }

    /// <summary>The style as a template of plotly.js: the defaults of everything that a figure leaves open.</summary>
    internal object Template()
    {
        var axis = new
        {
            gridcolor = Grid,
            linecolor = Muted,
            zerolinecolor = Grid,
            ticks = "outside",
            ticklen = 4,
            tickcolor = Grid,
            automargin = true,
            title = new { standoff = 8, font = new { size = FontSize } },
        };
        var bar = new { title = new { font = new { size = FontSize } } };
        return new
        {
            data = new { heatmap = new[] { new { colorbar = bar } }, scatter = new[] { new { marker = new { colorbar = bar } } } },
            layout = new
            {
                font = new { family = FontFamily, size = FontSize, color = Ink },
                paper_bgcolor = Paper,
                plot_bgcolor = Paper,
                colorway = Palette,
                title = new { x = 0.02, xanchor = "left", y = 0.98, yanchor = "top", yref = "container", font = new { size = Math.Round(FontSize * 1.2, 1) } },
                xaxis = axis,
                yaxis = axis,
                hoverlabel = new { align = "left" },
                margin = new { l = 56, r = 24, t = 60, b = 48 },
                legend = new { bgcolor = "rgba(0,0,0,0)" },
                annotationdefaults = new { font = new { size = FontSize, color = Ink }, arrowcolor = Muted },
                updatemenudefaults = new { bgcolor = Paper, bordercolor = Muted, font = new { color = Ink, size = FontSize } },
            },
        };
    }
}
