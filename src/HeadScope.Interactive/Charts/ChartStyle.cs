using System.Globalization;
using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

/// <summary>How charts look: ink, fonts, the colours of kinds and of numbers. The colours of kinds are those of Okabe and Ito, who chose them for every
/// common colour vision; each scale is ordered by lightness, so that it reads in grey print too.</summary>
public static class ChartStyle
{
    /// <summary>The families of text.</summary>
    public const string SansSerif = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

    /// <summary>The families of text whose letters are all equally wide: tokens.</summary>
    public const string Monospace = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace";

    /// <summary>The size of text on a screen, in pixels.</summary>
    internal const double FontSize = 13;

    internal const string Paper = "#ffffff";

    internal const string Ink = "#1f2328";

    internal const string Muted = "#656d76";

    internal const string Grid = "#e1e5ea";

    // What is written on light colours; on dark ones the paper's colour is. How many steps there are from one end of a scale to the other.
    private const string DarkInk = "#1a1d21";
    private const int Steps = 24;

    // From light to dark pages: page, ink, muted, grid.
    private static readonly string[] LightPage = [Paper, Ink, Muted, Grid];
    private static readonly string[] DarkPage = ["#161b22", "#e6e9ee", "#9aa4b0", "#30363d"];
    private static readonly string[] DarkPalette = ["#56b4e9", "#e69f00", "#2fbf93", "#e58ac0", "#f0e442", "#ff8a4c", "#9ecbff", "#b8bec6"];

    private static readonly string[] LightSequential = ["#f7f9fc", "#d3e2f2", "#9fc3e2", "#5f9bcc", "#2c6fae", "#12457f", "#0a2550"];
    private static readonly string[] DarkSequential = ["#161b23", "#17304d", "#1b4f80", "#2a75b3", "#559dd6", "#98c6ec", "#e8f4ff"];
    private static readonly string[] LightDiverging = ["#7f3b08", "#c2660c", "#f2a85a", "#f7f7f7", "#86b8dd", "#2c6fad", "#0b2f5c"];
    private static readonly string[] DarkDiverging = ["#ffd9ad", "#f09a3e", "#94530f", "#161b24", "#1d5386", "#4c97d3", "#c9e4fb"];

    /// <summary>The colours of kinds, in order.</summary>
    public static IReadOnlyList<string> Palette { get; } = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#5c5f66"];

    /// <summary>From nothing (the page) to much (deep blue), as plotly.js's stops: scores between 0 and 1, attention.</summary>
    public static IReadOnlyList<IReadOnlyList<object>> Sequential { get; } = Stops(LightSequential);

    /// <summary>From negative (orange) over nothing (the page) to positive (blue), as plotly.js's stops.</summary>
    public static IReadOnlyList<IReadOnlyList<object>> Diverging { get; } = Stops(LightDiverging);

    /// <summary>What each colour of a light page is on a dark one.</summary>
    internal static IReadOnlyDictionary<string, string> DarkColors { get; } = new[]
    {
        (LightPage, DarkPage), ([.. Palette], DarkPalette), (LightSequential, DarkSequential), (LightDiverging, DarkDiverging),
        (Shades(LightSequential), Shades(DarkSequential)), (Shades(LightDiverging), Shades(DarkDiverging)), ([DarkInk], [DarkPage[1]]),
    }.SelectMany(pair => pair.Item1.Zip(pair.Item2)).DistinctBy(pair => pair.First, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);

    /// <summary>The colour of a kind with an opacity, <c>rgba(0,114,178,0.2)</c>.</summary>
    internal static string Tint(int kind, double opacity)
    {
        var color = Rgb(Palette[kind % Palette.Count]);
        return string.Create(CultureInfo.InvariantCulture, $"rgba({color[0]},{color[1]},{color[2]},{opacity})");
    }

    /// <summary>The scale for numbers: from nothing to the largest, or symmetric about 0 where one is negative; what is not finite does not count.</summary>
    internal static (double Low, double High, IReadOnlyList<IReadOnlyList<object>> Colors) ScaleOf(IEnumerable<double> numbers)
    {
        var finite = numbers.Where(double.IsFinite).ToArray();
        var high = finite.Select(Math.Abs).DefaultIfEmpty(0).Max() is > 0 and var largest ? largest : 1;
        return finite.Any(number => number < 0) ? (-high, high, Diverging) : (0, high, Sequential);
    }

    /// <summary>The colour at a place of a scale between 0 and 1, of 25 that a dark page has too, and ink that can be read on it.</summary>
    internal static (string Fill, string Ink) At(IReadOnlyList<IReadOnlyList<object>> scale, double place)
    {
        var fill = Shade([.. scale.Select(stop => (string)stop[1])], (int)Math.Round(Math.Clamp(double.IsNaN(place) ? 0 : place, 0, 1) * Steps));
        var color = Rgb(fill);
        return (fill, (0.299 * color[0]) + (0.587 * color[1]) + (0.114 * color[2]) > 140 ? DarkInk : Paper);
    }

    /// <summary>The defaults of everything that a chart leaves open, as a template of plotly.js; new objects at each call.</summary>
    internal static Template Template()
    {
        object Axis() => new
        {
            gridcolor = Grid, linecolor = Muted, zerolinecolor = Grid, ticks = "outside", ticklen = 4, tickcolor = Grid, automargin = true,
            title = new { standoff = 8, font = new { size = FontSize } },
        };
        var bar = new { thickness = 12, outlinewidth = 0, title = new { side = "right", font = new { size = FontSize } } };
        return new Template().With(new
        {
            data = new { heatmap = new[] { new { colorbar = bar } }, scatter = new[] { new { marker = new { colorbar = bar } } } },
            layout = new Layout().With(new
            {
                font = Font(new { family = SansSerif, size = FontSize, color = Ink }),
                paper_bgcolor = Paper,
                plot_bgcolor = Paper,
                colorway = Palette,
                title = new { x = 0.02, xanchor = "left", y = 1, yanchor = "top", yref = "container", pad = new { t = 10 }, font = new { size = Math.Round(FontSize * 1.2, 1) } },
                xaxis = Axis(),
                yaxis = Axis(),
                colorscale = new { sequential = Sequential, diverging = Diverging },
                hoverlabel = new { align = "left" },
                margin = new { l = 56, r = 24, t = 60, b = 48 },
                legend = new { bgcolor = "rgba(0,0,0,0)" },

                // Its buttons cover a long title, else each could not be told from the other.
                modebar = new { bgcolor = Paper, color = Muted, activecolor = Ink },
                annotationdefaults = new { font = new { size = FontSize, color = Ink }, arrowcolor = Muted },
                updatemenudefaults = new { bgcolor = Paper, bordercolor = Grid, font = new { color = Ink, size = FontSize } },
            }),
        });
    }

    private static IReadOnlyList<IReadOnlyList<object>> Stops(string[] colors) =>
        [.. colors.Select((color, i) => new object[] { Math.Round(i / (colors.Length - 1.0), 6), color })];

    private static string[] Shades(string[] colors) => [.. Enumerable.Range(0, Steps + 1).Select(step => Shade(colors, step))];

    private static string Shade(string[] colors, int step)
    {
        var position = step * (colors.Length - 1.0) / Steps;
        var stop = Math.Min((int)position, colors.Length - 2);
        int[] mixed = [.. Rgb(colors[stop]).Zip(Rgb(colors[stop + 1]), (a, b) => (int)Math.Round(a + ((b - a) * (position - stop))))];
        return $"#{mixed[0]:x2}{mixed[1]:x2}{mixed[2]:x2}";
    }

    private static byte[] Rgb(string hex) => Convert.FromHexString(hex.AsSpan(1));
}
