using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>Everything of a figure that is not data. Attributes and their values are those of plotly.js; null leaves its default.</summary>
public sealed record Layout
{
    /// <summary>The title of the figure.</summary>
    public Title? Title { get; init; }

    /// <summary>The width in pixels; when null, as wide as the place where it is shown.</summary>
    public double? Width { get; init; }

    /// <summary>The height in pixels.</summary>
    public double? Height { get; init; }

    /// <summary>The space about the plot.</summary>
    public Margin? Margin { get; init; }

    /// <summary>Whether there is a legend.</summary>
    public bool? ShowLegend { get; init; }

    /// <summary>The legend.</summary>
    public Legend? Legend { get; init; }

    /// <summary><c>group</c>, <c>stack</c>, <c>relative</c> or <c>overlay</c>.</summary>
    public string? BarMode { get; init; }

    /// <summary>The gap between bars as a fraction.</summary>
    public double? BarGap { get; init; }

    /// <summary><c>closest</c>, <c>x unified</c>, …</summary>
    public string? HoverMode { get; init; }

    /// <summary>The axes: <c>x</c>, <c>y</c>, and for further plots <c>x2</c>, <c>y2</c>, …</summary>
    [JsonIgnore]
    public IReadOnlyDictionary<string, Axis> Axes { get; init; } = new Dictionary<string, Axis>(StringComparer.Ordinal);

    /// <summary>Texts and arrows.</summary>
    public IReadOnlyList<Annotation>? Annotations { get; init; }

    /// <summary>Lines and rectangles.</summary>
    public IReadOnlyList<Shape>? Shapes { get; init; }

    /// <summary>The axes under the names that they have in JSON.</summary>
    [JsonExtensionData]
    [JsonInclude]
    internal IDictionary<string, object> NamedAxes =>
        Axes.ToDictionary(axis => $"{axis.Key[0]}axis{axis.Key[1..]}", axis => (object)axis.Value, StringComparer.Ordinal);

    /// <summary>The axis of that name, or an axis without properties.</summary>
    internal Axis AxisOf(string? name, string fallback) => Axes.TryGetValue(name ?? fallback, out var axis) ? axis : new Axis();
}

/// <summary>An axis.</summary>
public sealed record Axis
{
    /// <summary>What it shows.</summary>
    public Title? Title { get; init; }

    /// <summary><c>linear</c>, <c>log</c>, <c>category</c>.</summary>
    public string? Type { get; init; }

    /// <summary>The ends; for a logarithmic axis their logarithms to base 10.</summary>
    public IReadOnlyList<double>? Range { get; init; }

    /// <summary><c>reversed</c> to begin at the top or on the right.</summary>
    public string? AutoRange { get; init; }

    /// <summary>The part of the figure that it spans, from 0 to 1.</summary>
    public IReadOnlyList<double>? Domain { get; init; }

    /// <summary>The axis across, where it stands: <c>y2</c> for <c>x2</c>.</summary>
    public string? Anchor { get; init; }

    /// <summary>Where the labels are.</summary>
    public Values? TickVals { get; init; }

    /// <summary>The labels (escaped).</summary>
    public IReadOnlyList<string>? TickText { get; init; }

    /// <summary>The distance between labels.</summary>
    public double? DTick { get; init; }

    /// <summary>The place of the first label.</summary>
    public double? Tick0 { get; init; }

    /// <summary>Turns the labels, in degrees.</summary>
    public double? TickAngle { get; init; }

    /// <summary>The font of the labels.</summary>
    public Font? TickFont { get; init; }

    /// <summary>The format of the numbers, in d3's notation.</summary>
    public string? TickFormat { get; init; }

    /// <summary>About how many labels there are.</summary>
    public int? NTicks { get; init; }

    /// <summary><c>outside</c> or empty for none.</summary>
    public string? Ticks { get; init; }

    /// <summary>Whether there are labels.</summary>
    public bool? ShowTickLabels { get; init; }

    /// <summary>Whether there are lines through the plot.</summary>
    public bool? ShowGrid { get; init; }

    /// <summary>Whether there is a line at 0.</summary>
    public bool? ZeroLine { get; init; }

    /// <summary>Whether there is a line along the axis.</summary>
    public bool? ShowLine { get; init; }

    /// <summary>The axis whose unit is as long as this one's.</summary>
    public string? ScaleAnchor { get; init; }

    /// <summary><c>domain</c>: the plot shrinks rather than the range grows to keep <see cref="ScaleAnchor"/>.</summary>
    public string? Constrain { get; init; }

    /// <summary>Whether it is drawn at all.</summary>
    public bool? Visible { get; init; }

    /// <summary><c>top</c> or <c>bottom</c>, <c>left</c> or <c>right</c>.</summary>
    public string? Side { get; init; }

    /// <summary>Whether zooming is forbidden.</summary>
    public bool? FixedRange { get; init; }

    /// <summary>Whether the margin grows with the labels.</summary>
    public bool? AutoMargin { get; init; }
}

/// <summary>The space about a plot, in pixels.</summary>
public sealed record Margin
{
    /// <summary>Left.</summary>
    public double? L { get; init; }

    /// <summary>Right.</summary>
    public double? R { get; init; }

    /// <summary>Top.</summary>
    public double? T { get; init; }

    /// <summary>Bottom.</summary>
    public double? B { get; init; }
}

/// <summary>A legend.</summary>
public sealed record Legend
{
    /// <summary><c>h</c> for names side by side.</summary>
    public string? Orientation { get; init; }

    /// <summary>The horizontal place, as a fraction of the plot.</summary>
    public double? X { get; init; }

    /// <summary>The vertical place, as a fraction of the plot.</summary>
    public double? Y { get; init; }

    /// <summary><c>left</c>, <c>center</c>, <c>right</c>.</summary>
    public string? XAnchor { get; init; }

    /// <summary><c>top</c>, <c>middle</c>, <c>bottom</c>.</summary>
    public string? YAnchor { get; init; }

    /// <summary>What the names are.</summary>
    public Title? Title { get; init; }

    /// <summary>What a click on a name does: <c>toggle</c>, or <c>toggleothers</c> to see that trace alone.</summary>
    public string? ItemClick { get; init; }

    /// <summary>False to have a double click do nothing.</summary>
    public bool? ItemDoubleClick { get; init; }
}

/// <summary>A text with or without an arrow.</summary>
public sealed record Annotation
{
    /// <summary>The text (escaped).</summary>
    public string? Text { get; init; }

    /// <summary>The horizontal place (of the arrow's head).</summary>
    public required double X { get; init; }

    /// <summary>The vertical place (of the arrow's head).</summary>
    public required double Y { get; init; }

    /// <summary><c>x</c> for the axis, <c>paper</c> for fractions of the plot.</summary>
    public string? XRef { get; init; }

    /// <summary><c>y</c> for the axis, <c>paper</c> for fractions of the plot.</summary>
    public string? YRef { get; init; }

    /// <summary>Where the arrow begins.</summary>
    public double? Ax { get; init; }

    /// <summary>Where the arrow begins.</summary>
    public double? Ay { get; init; }

    /// <summary>The axis of <see cref="Ax"/>; pixels from the head when null.</summary>
    public string? AxRef { get; init; }

    /// <summary>The axis of <see cref="Ay"/>; pixels from the head when null.</summary>
    public string? AyRef { get; init; }

    /// <summary>Whether there is an arrow.</summary>
    public required bool ShowArrow { get; init; }

    /// <summary>The kind of arrow's head, 0 to 8.</summary>
    public int? ArrowHead { get; init; }

    /// <summary>The size of the arrow's head relative to the line.</summary>
    public double? ArrowSize { get; init; }

    /// <summary>The width of the arrow's line in pixels.</summary>
    public double? ArrowWidth { get; init; }

    /// <summary>The colour of the arrow.</summary>
    public string? ArrowColor { get; init; }

    /// <summary>Pixels between the arrow's head and its place.</summary>
    public double? Standoff { get; init; }

    /// <summary>Pixels between the arrow's beginning and its place.</summary>
    public double? StartStandoff { get; init; }

    /// <summary><c>left</c>, <c>center</c>, <c>right</c>.</summary>
    public string? XAnchor { get; init; }

    /// <summary><c>top</c>, <c>middle</c>, <c>bottom</c>.</summary>
    public string? YAnchor { get; init; }

    /// <summary>The font.</summary>
    public Font? Font { get; init; }

    /// <summary><c>left</c>, <c>center</c>, <c>right</c> for the lines of the text.</summary>
    public string? Align { get; init; }

    /// <summary>From 0 to 1.</summary>
    public double? Opacity { get; init; }
}

/// <summary>A line or a rectangle.</summary>
public sealed record Shape
{
    /// <summary><c>line</c> or <c>rect</c>.</summary>
    public required string Type { get; init; }

    /// <summary>The first corner.</summary>
    public required double X0 { get; init; }

    /// <summary>The first corner.</summary>
    public required double Y0 { get; init; }

    /// <summary>The second corner.</summary>
    public required double X1 { get; init; }

    /// <summary>The second corner.</summary>
    public required double Y1 { get; init; }

    /// <summary><c>x</c> for the axis, <c>paper</c> for fractions of the plot.</summary>
    public string? XRef { get; init; }

    /// <summary><c>y</c> for the axis, <c>paper</c> for fractions of the plot.</summary>
    public string? YRef { get; init; }

    /// <summary>The outline.</summary>
    public Line? Line { get; init; }

    /// <summary>The colour inside.</summary>
    public string? FillColor { get; init; }

    /// <summary><c>below</c> or <c>above</c> the data.</summary>
    public string? Layer { get; init; }
}
