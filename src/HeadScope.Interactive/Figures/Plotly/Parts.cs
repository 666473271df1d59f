using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>A font.</summary>
public sealed record Font
{
    /// <summary>Families, the first that is installed.</summary>
    public string? Family { get; init; }

    /// <summary>The size in pixels.</summary>
    public double? Size { get; init; }

    /// <summary>The colour.</summary>
    public string? Color { get; init; }
}

/// <summary>A line.</summary>
public sealed record Line
{
    /// <summary>The colour.</summary>
    public string? Color { get; init; }

    /// <summary>The width in pixels.</summary>
    public double? Width { get; init; }

    /// <summary><c>solid</c>, <c>dot</c>, <c>dash</c>.</summary>
    public string? Dash { get; init; }

    internal Line In(FigureStyle style) => this with { Color = style.InPlaceOf(Color) };
}

/// <summary>A filled surface.</summary>
public sealed record Fill
{
    /// <summary>The colour.</summary>
    public string? Color { get; init; }
}

/// <summary>The points of a scatter or the bars of a bar chart.</summary>
public sealed record Marker
{
    /// <summary>One colour for all (a text) or one number or colour for each point.</summary>
    [JsonConverter(typeof(OneOrMany))]
    public Values? Color { get; init; }

    /// <summary>One size in pixels for all or one for each point.</summary>
    [JsonConverter(typeof(OneOrMany))]
    public Values? Size { get; init; }

    /// <summary>From 0 (not seen) to 1; plotly.js takes less than 1 for points of several sizes.</summary>
    public double? Opacity { get; init; }

    /// <summary>The shape: <c>circle</c>, <c>square</c>, <c>diamond</c>, <c>triangle-up</c>, …</summary>
    public string? Symbol { get; init; }

    /// <summary>From where an <c>arrow</c> points to its place: <c>previous</c> for the point before it, <c>up</c>.</summary>
    public string? AngleRef { get; init; }

    /// <summary>How many pixels the shape stays away from its place.</summary>
    [JsonConverter(typeof(OneOrMany))]
    public Values? Standoff { get; init; }

    /// <summary>The outline.</summary>
    public Line? Line { get; init; }

    /// <summary>The colours when <see cref="Color"/> holds numbers.</summary>
    public ColorScale? ColorScale { get; init; }

    /// <summary>The number of the first colour.</summary>
    public double? CMin { get; init; }

    /// <summary>The number of the last colour.</summary>
    public double? CMax { get; init; }

    /// <summary>Whether the colours are explained beside the figure.</summary>
    public bool? ShowScale { get; init; }

    /// <summary>The explanation of the colours.</summary>
    public ColorBar? ColorBar { get; init; }

    internal Marker In(FigureStyle style) => this with
    {
        Color = Color is { IsText: true } colors ? Enumerable.Range(0, colors.Count).Select(i => style.InPlaceOf(colors.Text(i))).ToArray() : Color,
        Line = Line?.In(style),
        ColorScale = ColorScale?.In(style),
    };
}

/// <summary>The explanation of the colours beside a figure.</summary>
public sealed record ColorBar
{
    /// <summary>What the numbers are.</summary>
    public Title? Title { get; init; }

    /// <summary>The width in pixels.</summary>
    public double? Thickness { get; init; }

    /// <summary>The length, as a fraction of the plot.</summary>
    public double? Len { get; init; }

    /// <summary>The horizontal place, as a fraction of the plot.</summary>
    public double? X { get; init; }

    /// <summary>The vertical place, as a fraction of the plot.</summary>
    public double? Y { get; init; }

    /// <summary>The format of the numbers, in d3's notation: <c>.2f</c>.</summary>
    public string? TickFormat { get; init; }

    /// <summary>The width of the frame; 0 for none.</summary>
    public double? OutlineWidth { get; init; }
}

/// <summary>The spread about a number.</summary>
public sealed record ErrorBars
{
    /// <summary>Always <c>data</c>: the spreads are given.</summary>
    public string Type => "data";

    /// <summary>The spread of each point.</summary>
    public required Values Array { get; init; }

    /// <summary>The width of the line in pixels.</summary>
    public double? Thickness { get; init; }

    /// <summary>The width of the end in pixels.</summary>
    public double? Width { get; init; }

    /// <summary>The colour; that of text when null.</summary>
    public string? Color { get; init; }

    internal ErrorBars In(FigureStyle style) => this with { Color = Color ?? style.Ink };
}

/// <summary>Bins of a histogram.</summary>
/// <param name="Start">Where the first begins.</param>
/// <param name="End">Where the last ends.</param>
/// <param name="Size">The width of each.</param>
public sealed record Bins(double Start, double End, double Size);

/// <summary>A title (escaped).</summary>
public sealed record Title
{
    /// <summary>The text.</summary>
    public required string Text { get; init; }

    /// <summary>The font.</summary>
    public Font? Font { get; init; }

    /// <summary>For a color bar: <c>right</c> or <c>top</c>.</summary>
    public string? Side { get; init; }

    /// <summary>For the title of the figure: the horizontal place, from 0 to 1.</summary>
    public double? X { get; init; }

    /// <summary>For the title of the figure: <c>left</c>, <c>center</c>.</summary>
    public string? XAnchor { get; init; }

    /// <summary>For an axis: pixels between title and labels.</summary>
    public double? Standoff { get; init; }

    /// <summary>A title that is only text.</summary>
    /// <param name="text">The text, escaped; null for no title.</param>
    [return: NotNullIfNotNull(nameof(text))]
    public static implicit operator Title?(string? text) => text is null ? null : new() { Text = text };
}
