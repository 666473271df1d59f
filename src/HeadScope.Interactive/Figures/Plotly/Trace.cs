using System.Text.Json.Serialization;

namespace HeadScope.Notebooks.Plotly;

/// <summary>One set of data of a figure and how it is drawn. Attributes and their values are those of plotly.js; null leaves its default.</summary>
public abstract record Trace
{
    /// <summary>The kind of trace, as plotly.js names it.</summary>
    [JsonPropertyOrder(-1)]
    public abstract string Type { get; }

    /// <summary>The name in the legend and on hover (escaped).</summary>
    public string? Name { get; init; }

    /// <summary>Whether it is drawn.</summary>
    [JsonConverter(typeof(Visibility))]
    public bool? Visible { get; init; }

    /// <summary>Whether it is in the legend.</summary>
    public bool? ShowLegend { get; init; }

    /// <summary>Traces of one group are switched together in the legend.</summary>
    public string? LegendGroup { get; init; }

    /// <summary>What hovering shows, with placeholders such as <c>%{x}</c>, <c>%{z:.3f}</c>, <c>%{text}</c>; <c>&lt;extra&gt;&lt;/extra&gt;</c> hides the name.</summary>
    public string? HoverTemplate { get; init; }

    /// <summary><c>skip</c> for a trace that does not react to the mouse.</summary>
    public string? HoverInfo { get; init; }

    /// <summary>From 0 (not seen) to 1.</summary>
    public double? Opacity { get; init; }

    /// <summary>The horizontal axis: <c>x</c>, <c>x2</c>, …</summary>
    public string? XAxis { get; init; }

    /// <summary>The vertical axis: <c>y</c>, <c>y2</c>, …</summary>
    public string? YAxis { get; init; }

    /// <summary>The trace with the colours of a style.</summary>
    internal virtual Trace In(FigureStyle style) => this;
}

/// <summary>A matrix as coloured cells.</summary>
public sealed record HeatMap : Trace
{
    /// <inheritdoc/>
    public override string Type => "heatmap";

    /// <summary>Where the columns are; 0, 1, … when not given.</summary>
    public Values? X { get; init; }

    /// <summary>Where the rows are; 0, 1, … when not given.</summary>
    public Values? Y { get; init; }

    /// <summary>The numbers, row by row.</summary>
    public required Grid Z { get; init; }

    /// <summary>A text for every cell, row by row (escaped); shown where the templates say <c>%{text}</c>.</summary>
    public IReadOnlyList<IReadOnlyList<string>>? Text { get; init; }

    /// <summary>What is written into the cells, such as <c>%{text}</c>.</summary>
    public string? TextTemplate { get; init; }

    /// <summary>The font of what is written into the cells.</summary>
    public Font? TextFont { get; init; }

    /// <summary>The colours from the lowest to the highest number.</summary>
    public ColorScale? ColorScale { get; init; }

    /// <summary>The number of the first colour.</summary>
    public double? ZMin { get; init; }

    /// <summary>The number of the last colour.</summary>
    public double? ZMax { get; init; }

    /// <summary>Whether the colours are explained beside the figure.</summary>
    public bool? ShowScale { get; init; }

    /// <summary>The explanation of the colours.</summary>
    public ColorBar? ColorBar { get; init; }

    /// <summary>Pixels between columns.</summary>
    public double? XGap { get; init; }

    /// <summary>Pixels between rows.</summary>
    public double? YGap { get; init; }

    /// <summary>Whether hovering shows gaps too.</summary>
    public bool? HoverOnGaps { get; init; }

    // plotly.js takes what cannot be seen for a mistake.
    internal override Trace In(FigureStyle style) =>
        this with { ColorScale = ColorScale?.In(style), ColorBar = ShowScale == false ? null : ColorBar };
}

/// <summary>Points, lines or texts at places.</summary>
public sealed record Scatter : Trace
{
    /// <inheritdoc/>
    public override string Type => "scatter";

    /// <summary><c>markers</c>, <c>lines</c>, <c>text</c> or several joined by <c>+</c>.</summary>
    public required string Mode { get; init; }

    /// <summary>The horizontal places.</summary>
    public required Values X { get; init; }

    /// <summary>The vertical places.</summary>
    public required Values Y { get; init; }

    /// <summary>A text for every point (escaped).</summary>
    public IReadOnlyList<string>? Text { get; init; }

    /// <summary>Where the texts stand, one for all or one for each: <c>middle center</c>, <c>top center</c>, <c>middle right</c>, …</summary>
    [JsonConverter(typeof(OneOrMany))]
    public Values? TextPosition { get; init; }

    /// <summary>The font of the texts.</summary>
    public Font? TextFont { get; init; }

    /// <summary>More texts for hovering (escaped), when <see cref="Text"/> is drawn.</summary>
    public IReadOnlyList<string>? HoverText { get; init; }

    /// <summary>False to draw points and texts at the edge of the plot whole.</summary>
    public bool? ClipOnAxis { get; init; }

    /// <summary>How points look.</summary>
    public Marker? Marker { get; init; }

    /// <summary>How lines look.</summary>
    public Line? Line { get; init; }

    /// <summary>The spread about each point.</summary>
    [JsonPropertyName("error_y")]
    public ErrorBars? ErrorY { get; init; }

    /// <summary>What is filled: <c>tozeroy</c>, <c>tonexty</c>, <c>toself</c>.</summary>
    public string? Fill { get; init; }

    /// <summary>The colour of the fill.</summary>
    public string? FillColor { get; init; }

    // plotly.js takes what cannot be seen for a mistake.
    internal override Trace In(FigureStyle style) => this with
    {
        Marker = Mode.Contains("markers", StringComparison.Ordinal) ? Marker?.In(style) : null,
        Line = Mode.Contains("lines", StringComparison.Ordinal) ? Line?.In(style) : null,
        FillColor = style.InPlaceOf(FillColor),
        ErrorY = ErrorY?.In(style),

        // A text on a marker stands on its colour, which changes with the style; a text alone has its own ground.
        TextFont = TextFont?.Color is { } ink && Mode.Contains("markers", StringComparison.Ordinal) ? TextFont with { Color = style.InPlaceOf(ink) } : TextFont,
    };
}

/// <summary>Bars.</summary>
public sealed record Bar : Trace
{
    /// <inheritdoc/>
    public override string Type => "bar";

    /// <summary>Where the bars stand; for horizontal bars their lengths.</summary>
    public required Values X { get; init; }

    /// <summary>The heights of the bars; for horizontal bars where they stand.</summary>
    public required Values Y { get; init; }

    /// <summary><c>h</c> for horizontal bars.</summary>
    public string? Orientation { get; init; }

    /// <summary>A text for every bar (escaped).</summary>
    public IReadOnlyList<string>? Text { get; init; }

    /// <summary>Where the texts stand: <c>outside</c>, <c>inside</c>, <c>auto</c>, <c>none</c>.</summary>
    public string? TextPosition { get; init; }

    /// <summary>How bars look.</summary>
    public Marker? Marker { get; init; }

    /// <summary>The spread about each length of horizontal bars.</summary>
    [JsonPropertyName("error_x")]
    public ErrorBars? ErrorX { get; init; }

    /// <summary>The spread about each height.</summary>
    [JsonPropertyName("error_y")]
    public ErrorBars? ErrorY { get; init; }

    internal override Trace In(FigureStyle style) => this with { Marker = Marker?.In(style), ErrorX = ErrorX?.In(style), ErrorY = ErrorY?.In(style) };
}

/// <summary>How often numbers fall into bins; plotly.js counts.</summary>
public sealed record Histogram : Trace
{
    /// <inheritdoc/>
    public override string Type => "histogram";

    /// <summary>The numbers.</summary>
    public required Values X { get; init; }

    /// <summary>Where bins begin and end and how wide they are.</summary>
    public Bins? XBins { get; init; }

    /// <summary>How bars look.</summary>
    public Marker? Marker { get; init; }

    internal override Trace In(FigureStyle style) => this with { Marker = Marker?.In(style) };
}

/// <summary>Rows and columns of text.</summary>
public sealed record Table : Trace
{
    /// <inheritdoc/>
    public override string Type => "table";

    /// <summary>The heads of the columns.</summary>
    public required TableCells Header { get; init; }

    /// <summary>The cells, column by column.</summary>
    public required TableCells Cells { get; init; }

    /// <summary>The widths of the columns, in proportion.</summary>
    public IReadOnlyList<double>? ColumnWidth { get; init; }

    internal override Trace In(FigureStyle style) => this with
    {
        Header = Header.In(style, style.Grid),
        Cells = Cells.In(style, style.Paper),
    };
}

/// <summary>The texts of a table.</summary>
public sealed record TableCells
{
    /// <summary>The texts, column by column (escaped).</summary>
    public required IReadOnlyList<IReadOnlyList<string>> Values { get; init; }

    /// <summary><c>left</c>, <c>right</c> or <c>center</c>, for each column.</summary>
    public IReadOnlyList<string>? Align { get; init; }

    /// <summary>The colour behind the texts.</summary>
    public Fill? Fill { get; init; }

    /// <summary>The rules between the cells.</summary>
    public Line? Line { get; init; }

    /// <summary>The font.</summary>
    public Font? Font { get; init; }

    /// <summary>The height of a row in pixels.</summary>
    public double? Height { get; init; }

    internal TableCells In(FigureStyle style, string fill) => this with
    {
        Fill = Fill ?? new Fill { Color = fill },
        Line = Line ?? new Line { Color = style.Grid },
        Font = Font ?? new Font { Color = style.Ink, Size = style.FontSize },
    };
}
