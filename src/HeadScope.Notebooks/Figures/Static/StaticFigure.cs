using System.Globalization;
using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <summary>
/// Draws a figure as SVG without Plotly and without a browser: what a page shows before plotly.js is there or where there is no network,
/// and what sites show that display notebooks without running scripts. It knows the attributes that HeadScope's figures use.
/// </summary>
internal sealed class StaticFigure
{
    private readonly Figure figure;
    private readonly FigureStyle style;
    private readonly Layout layout;
    private readonly IReadOnlyList<Trace> traces;
    private readonly double width;
    private readonly double height;
    private readonly SvgText svg = new();
    private readonly Dictionary<string, (StaticAxis X, StaticAxis Y, Box Box, Axis XAxis, Axis YAxis)> plots = new(StringComparer.Ordinal);

    private StaticFigure(Figure figure, IReadOnlyList<bool>? visible)
    {
        var styled = figure.Styled();
        this.figure = styled;
        style = figure.Style;
        layout = styled.Layout;
        traces = [.. styled.Traces.Where((trace, i) => visible?[i] ?? trace.Visible ?? true)];
        width = layout.Width ?? Figure.DefaultWidth;
        height = layout.Height ?? Figure.DefaultHeight;
    }

    /// <summary>Draws a figure.</summary>
    /// <param name="figure">The figure.</param>
    /// <param name="visible">For every trace whether it is drawn; as the traces say when null.</param>
    /// <returns>The text of an SVG file.</returns>
    public static string Draw(Figure figure, IReadOnlyList<bool>? visible = null) => new StaticFigure(figure, visible).Draw();

    private string Draw()
    {
        svg.Raw(string.Create(
            CultureInfo.InvariantCulture,
            $"""<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{SvgText.Escape(figure.Caption)}" width="{SvgText.N(width)}" height="{SvgText.N(height)}" viewBox="0 0 {SvgText.N(width)} {SvgText.N(height)}" font-family="{SvgText.Escape(style.FontFamily)}">"""));
        svg.Rectangle(0, 0, width, height, style.Paper);
        if (layout.Title is { } title)
        {
            svg.Label(width * 0.02, 24, title.Text, title.Font?.Size ?? style.FontSize * 1.2, style.Ink, "start");
        }

        var area = Area();
        foreach (var trace in traces)
        {
            var key = (trace.XAxis ?? "x") + (trace.YAxis ?? "y");
            if (trace is not Table && !plots.ContainsKey(key))
            {
                plots.Add(key, Plot(trace.XAxis ?? "x", trace.YAxis ?? "y", area));
            }
        }

        foreach (var plot in plots.Values)
        {
            Frame(plot.X, plot.Y, plot.Box, plot.XAxis, plot.YAxis);
        }

        Shapes(area, "below");
        var color = 0;
        var scales = 0;
        foreach (var trace in traces)
        {
            var plot = trace is Table ? default : plots[(trace.XAxis ?? "x") + (trace.YAxis ?? "y")];
            switch (trace)
            {
                case HeatMap map:
                    Cells(map, plot.X, plot.Y);
                    scales += map.ShowScale ?? true ? ColorBar(map.ColorBar, map.ColorScale, Low(map), High(map), area, scales) : 0;
                    break;
                case Scatter scatter:
                    Points(scatter, plot.X, plot.Y, style.Palette[color++ % style.Palette.Count]);
                    scales += scatter.Marker is { ShowScale: true } marker
                        ? ColorBar(marker.ColorBar, marker.ColorScale, marker.CMin ?? 0, marker.CMax ?? 1, area, scales)
                        : 0;
                    break;
                case Bar bar:
                    Bars(bar, plot.X, plot.Y, style.Palette[color++ % style.Palette.Count]);
                    break;
                case Histogram histogram:
                    Bars(Counted(histogram), plot.X, plot.Y, style.Palette[color++ % style.Palette.Count]);
                    break;
                case Table table:
                    Rows(table, area);
                    break;
            }
        }

        foreach (var plot in plots.Values)
        {
            Labels(plot.X, plot.Y, plot.Box, plot.XAxis, plot.YAxis);
        }

        Shapes(area, "above");
        foreach (var annotation in layout.Annotations ?? [])
        {
            Annotation(annotation, area);
        }

        Legend(area);
        return svg.Raw("</svg>").ToString();
    }

    /// <summary>The part of the page that the plots share: what margins, labels, legend and colour bars leave.</summary>
    private Box Area()
    {
        var size = style.FontSize;
        var left = layout.Margin?.L ?? 0;
        var bottom = layout.Margin?.B ?? 0;
        foreach (var trace in traces)
        {
            if (trace is Table)
            {
                continue;
            }

            var y = layout.AxisOf(trace.YAxis, "y");
            if (y.Visible != false && (y.Domain is null || layout.AxisOf(trace.XAxis, "x").Domain is null or [<= 0.01, ..]))
            {
                var labels = y.ShowTickLabels == false ? 0 : LabelWidth(y, Categories(trace.YAxis ?? "y", vertical: true), size);
                left = Math.Max(left, labels + 14 + (y.Title is null ? 0 : size * 1.7));
            }

            var x = layout.AxisOf(trace.XAxis, "x");
            if (x.Visible != false && x.Side != "top")
            {
                var angle = Math.Abs(x.TickAngle ?? 0) * Math.PI / 180;
                var labels = x.ShowTickLabels == false
                    ? 0
                    : Math.Max(size * 1.2, LabelWidth(x, Categories(trace.XAxis ?? "x", vertical: false), size) * Math.Sin(angle));
                bottom = Math.Max(bottom, labels + 12 + (x.Title is null ? 0 : size * 1.9));
            }
        }

        var bars = traces.Any(t => t is HeatMap { ShowScale: not false } or Scatter { Marker.ShowScale: true });
        var legend = LegendTraces().Select(t => SvgText.WidthOf(PlotlyText.Plain(t.Name!), size)).DefaultIfEmpty(0).Max();
        var beside = layout.Legend?.Orientation != "h" && legend > 0 ? legend + 46 : 0;
        var right = Math.Max(layout.Margin?.R ?? 24, (bars ? 90 : 0) + beside + 12);
        var top = layout.Margin?.T ?? (layout.Title is null ? 20 : 48);
        return new Box(Math.Max(left, 16), top, width - right, height - Math.Max(bottom, 12));
    }

    private double LabelWidth(Axis axis, IReadOnlyList<string>? categories, double size) =>
        (axis.TickText ?? categories ?? ["0.000"])
            .Select(t => SvgText.WidthOf(PlotlyText.Plain(t), axis.TickFont?.Size ?? size, axis.TickFont?.Family == FigureStyle.Monospace)).DefaultIfEmpty(0).Max();

    private (StaticAxis X, StaticAxis Y, Box Box, Axis XAxis, Axis YAxis) Plot(string xName, string yName, Box area)
    {
        var (x, y) = (layout.AxisOf(xName, "x"), layout.AxisOf(yName, "y"));
        var box = new Box(
            area.Left + (area.Width * (x.Domain?[0] ?? 0)),
            area.Bottom - (area.Height * (y.Domain?[1] ?? 1)),
            area.Left + (area.Width * (x.Domain?[1] ?? 1)),
            area.Bottom - (area.Height * (y.Domain?[0] ?? 0)));
        var (xLow, xHigh) = Extent(xName, vertical: false);
        var (yLow, yHigh) = Extent(yName, vertical: true);
        if (y.ScaleAnchor is not null || x.ScaleAnchor is not null)
        {
            // Equal units on both axes: the plot shrinks in its box.
            var unit = Math.Min(box.Width / Math.Max(1e-12, xHigh - xLow), box.Height / Math.Max(1e-12, yHigh - yLow));
            var (w, h) = (unit * (xHigh - xLow), unit * (yHigh - yLow));
            var (cx, cy) = ((box.Left + box.Right) / 2, (box.Top + box.Bottom) / 2);
            box = new Box(cx - (w / 2), cy - (h / 2), cx + (w / 2), cy + (h / 2));
        }

        return (
            new StaticAxis(x, Categories(xName, vertical: false), xLow, xHigh, box.Left, box.Width),
            new StaticAxis(y, Categories(yName, vertical: true), yLow, yHigh, box.Bottom, -box.Height),
            box, x, y);
    }

    /// <summary>The texts along an axis, when its data are texts.</summary>
    private IReadOnlyList<string>? Categories(string name, bool vertical)
    {
        var columns = traces.Where(t => On(t, name, vertical)).Select(t => Along(t, vertical)).OfType<Values>().Where(v => v.IsText).ToList();
        return columns.Count == 0
            ? null
            : [.. columns.SelectMany(column => Enumerable.Range(0, column.Count).Select(column.Text)).Distinct(StringComparer.Ordinal)];
    }

    private static bool On(Trace trace, string name, bool vertical) =>
        ((vertical ? trace.YAxis : trace.XAxis) ?? (vertical ? "y" : "x")) == name;

    private static Values? Along(Trace trace, bool vertical) => trace switch
    {
        HeatMap map => vertical ? map.Y : map.X,
        Scatter scatter => vertical ? scatter.Y : scatter.X,
        Bar bar => vertical ? bar.Y : bar.X,
        Histogram histogram => vertical ? null : histogram.X,
        _ => null,
    };

    /// <summary>The ends of an axis that its data ask for.</summary>
    private (double Low, double High) Extent(string name, bool vertical)
    {
        var axis = layout.AxisOf(name, vertical ? "y" : "x");
        if (axis.Range is [var first, var last])
        {
            return (Math.Min(first, last), Math.Max(first, last));
        }

        var (low, high) = (double.PositiveInfinity, double.NegativeInfinity);
        foreach (var trace in traces.Where(t => On(t, name, vertical)))
        {
            var column = Along(trace, vertical);
            switch (trace)
            {
                case HeatMap map:
                    var count = vertical ? map.Z.Rows : map.Z.Columns;
                    var from = column is null || column.IsText ? 0 : column.Number(0);
                    var to = column is null || column.IsText ? count - 1 : column.Number(count - 1);
                    Grow(Math.Min(from, to) - 0.5, Math.Max(from, to) + 0.5);
                    break;
                case Histogram when vertical:
                    var bars = Counted((Histogram)trace);
                    Grow(0, Enumerable.Range(0, bars.Y.Count).Select(bars.Y.Number).DefaultIfEmpty(1).Max() * 1.05);
                    break;
                case Bar bar when (bar.Orientation == "h") != vertical:
                    var tops = Enumerable.Range(0, column!.Count).Select(i => column.Number(i) + (bar.ErrorY is { } e ? e.Array.Number(i) : 0)).ToArray();
                    Grow(Math.Min(0, tops.Min() * 1.05), Math.Max(0, tops.Max() * 1.05));
                    break;
                case Bar:
                    Grow(column!.IsText ? -0.5 : column.Number(0) - 0.5, column.IsText ? Categories(name, vertical)!.Count - 0.5 : column.Number(column.Count - 1) + 0.5);
                    break;
                default:
                    if (column is { IsText: true })
                    {
                        Grow(-0.5, Categories(name, vertical)!.Count - 0.5);
                        break;
                    }

                    var spreads = vertical && trace is Scatter { ErrorY: { } errors } ? errors.Array : null;
                    for (var i = 0; i < column!.Count; i++)
                    {
                        var value = axis.Type == "log" ? Math.Log10(column.Number(i)) : column.Number(i);
                        if (double.IsFinite(value))
                        {
                            var spread = spreads?.Number(i) ?? 0;
                            Grow(value - spread, value + spread);
                        }
                    }

                    var pad = (high - low) * (trace is Scatter { Mode: "lines" } && !vertical ? 0 : 0.05);
                    Grow(low - pad, high + pad);
                    break;
            }
        }

        return low <= high ? (low, high) : (0, 1);

        void Grow(double a, double b) => (low, high) = (Math.Min(low, a), Math.Max(high, b));
    }

    private void Frame(StaticAxis x, StaticAxis y, Box box, Axis xAxis, Axis yAxis)
    {
        if (xAxis is { ShowGrid: not false, Visible: not false })
        {
            foreach (var (place, _) in x.Ticks(style.FontSize * 4))
            {
                svg.Line(place, box.Top, place, box.Bottom, style.Grid);
            }
        }

        if (yAxis is { ShowGrid: not false, Visible: not false })
        {
            foreach (var (place, _) in y.Ticks(style.FontSize * 1.5))
            {
                svg.Line(box.Left, place, box.Right, place, style.Grid);
            }
        }
    }

    private void Labels(StaticAxis x, StaticAxis y, Box box, Axis xAxis, Axis yAxis)
    {
        var size = style.FontSize;
        if (xAxis.Visible != false)
        {
            var small = xAxis.TickFont?.Size ?? size;
            var top = xAxis.Side == "top";
            var edge = top ? box.Top : box.Bottom;
            var away = top ? -1 : 1;
            var angle = xAxis.TickAngle ?? 0;
            var deepest = small * 1.2;
            if (xAxis.ShowLine == true)
            {
                svg.Line(box.Left, edge, box.Right, edge, style.Muted);
            }

            if (xAxis.ShowTickLabels != false)
            {
                var widest = LabelWidth(xAxis, Categories(NameOf(xAxis, "x"), vertical: false), small);
                foreach (var (place, text) in x.Ticks(angle == 0 ? Math.Min(widest, small * 4) + 4 : small * 1.15))
                {
                    svg.Label(place, edge + (away * small * (angle == 0 ? 1 : 0.8)), PlotlyText.Escape(text), small, xAxis.TickFont?.Color ?? style.Ink,
                        angle == 0 ? "middle" : (angle < 0) != top ? "end" : "start", angle, xAxis.TickFont?.Family);
                }

                deepest = angle == 0 ? small * 1.2 : widest * Math.Abs(Math.Sin(angle * Math.PI / 180)) + small;
            }

            if (xAxis.Title is { } title)
            {
                svg.Label((box.Left + box.Right) / 2, edge + (away * (deepest + (size * 1.3))), title.Text, title.Font?.Size ?? size, style.Ink);
            }
        }

        if (yAxis.Visible != false)
        {
            var small = yAxis.TickFont?.Size ?? size;
            if (yAxis.ShowLine == true)
            {
                svg.Line(box.Left, box.Top, box.Left, box.Bottom, style.Muted);
            }

            var widest = 0.0;
            if (yAxis.ShowTickLabels != false)
            {
                foreach (var (place, text) in y.Ticks(small * 1.15))
                {
                    widest = Math.Max(widest, SvgText.WidthOf(text, small, yAxis.TickFont?.Family == FigureStyle.Monospace));
                    svg.Label(box.Left - 6, place, PlotlyText.Escape(text), small, yAxis.TickFont?.Color ?? style.Ink, "end", 0, yAxis.TickFont?.Family);
                }
            }

            if (yAxis.Title is { } title)
            {
                svg.Label(box.Left - widest - 12 - (size * 0.6), (box.Top + box.Bottom) / 2, title.Text, title.Font?.Size ?? size, style.Ink, "middle", -90);
            }
        }
    }

    private string NameOf(Axis axis, string fallback) => layout.Axes.FirstOrDefault(pair => ReferenceEquals(pair.Value, axis)).Key ?? fallback;

    private static double Low(HeatMap map) => map.ZMin ?? map.Z.Extent.Low;

    private static double High(HeatMap map) => map.ZMax ?? map.Z.Extent.High;

    private void Cells(HeatMap map, StaticAxis x, StaticAxis y)
    {
        var (low, high) = (Low(map), High(map));
        var scale = (map.ColorScale ?? ColorScale.Sequential).In(style);
        var (w, h) = (x.Unit, y.Unit);
        for (var row = 0; row < map.Z.Rows; row++)
        {
            for (var column = 0; column < map.Z.Columns; column++)
            {
                var value = map.Z[row, column];
                if (!float.IsFinite(value))
                {
                    continue;
                }

                var cx = x.At(map.X is { IsText: false } xs ? xs.Number(column) : column);
                var cy = y.At(map.Y is { IsText: false } ys ? ys.Number(row) : row);
                var place = high > low ? (value - low) / (high - low) : 0.5;
                var text = map.Text?[row][column];
                svg.Rectangle(
                    cx - (w / 2), cy - (h / 2), w - (map.XGap ?? 0), h - (map.YGap ?? 0), scale.Hex(place),
                    PlotlyText.Plain(text is null or "" || map.TextTemplate is not null ? PlotlyText.Number(value) : text));
                if (map.TextTemplate is not null && text is { Length: > 0 })
                {
                    svg.Label(cx, cy, text, map.TextFont?.Size ?? Math.Min(style.FontSize, h * 0.8), map.TextFont?.Color ?? scale.InkOn(place), family: map.TextFont?.Family);
                }
            }
        }
    }

    private void Points(Scatter scatter, StaticAxis x, StaticAxis y, string next)
    {
        var oneColor = scatter.Marker?.Color is { IsText: true, Count: 1 } color ? color.Text(0) : scatter.Line?.Color ?? next;
        var at = Enumerable.Range(0, Math.Min(scatter.X.Count, scatter.Y.Count))
            .Select(i => (X: x.At(scatter.X.Number(i)), Y: y.At(scatter.Y.Number(i))))
            .Select(p => double.IsFinite(p.X) && double.IsFinite(p.Y) ? p : ((double X, double Y)?)null).ToList();
        if (scatter.Fill is not null)
        {
            svg.Path(at, "none", 0, null, scatter.FillColor ?? style.Grid);
        }

        if (scatter.Mode.Contains("lines", StringComparison.Ordinal))
        {
            svg.Path(at, scatter.Line?.Color ?? oneColor, scatter.Line?.Width ?? 2, scatter.Line?.Dash);
        }

        for (var i = 0; i < at.Count; i++)
        {
            if (at[i] is not var (px, py))
            {
                continue;
            }

            if (scatter.ErrorY is { } errors && double.IsFinite(errors.Array.Number(i)))
            {
                var spread = errors.Array.Number(i);
                svg.Line(px, y.At(scatter.Y.Number(i) - spread), px, y.At(scatter.Y.Number(i) + spread), oneColor, errors.Thickness ?? 1);
            }

            if (scatter.Mode.Contains("markers", StringComparison.Ordinal))
            {
                var fill = MarkerColor(scatter.Marker, i, oneColor);
                var size = scatter.Marker?.Size is { } sizes ? sizes.Number(sizes.Count == 1 ? 0 : i) : 6;
                var hover = (scatter.HoverText ?? scatter.Text) is { } texts && i < texts.Count ? PlotlyText.Plain(texts[i]) : null;
                if (scatter.Marker?.Symbol is { } symbol && symbol.StartsWith("square", StringComparison.Ordinal))
                {
                    svg.Rectangle(px - (size / 2), py - (size / 2), size, size, fill, hover, scatter.Marker.Line?.Color);
                }
                else
                {
                    svg.Circle(px, py, size / 2, fill, hover, scatter.Marker?.Line?.Color, scatter.Opacity ?? 1);
                }
            }

            if (scatter.Mode.Contains("text", StringComparison.Ordinal) && scatter.Text is { } labels && i < labels.Count)
            {
                var position = scatter.TextPosition ?? "middle center";
                var size = scatter.TextFont?.Size ?? style.FontSize;
                var away = 5 + ((scatter.Marker?.Size is { } sizes ? sizes.Number(sizes.Count == 1 ? 0 : i) : 6) / 2);
                var tx = position.EndsWith("right", StringComparison.Ordinal) ? px + away : position.EndsWith("left", StringComparison.Ordinal) ? px - away : px;
                var ty = position.StartsWith("top", StringComparison.Ordinal) ? py - away - (size * 0.4) : position.StartsWith("bottom", StringComparison.Ordinal) ? py + away + (size * 0.4) : py;
                var anchor = position.EndsWith("right", StringComparison.Ordinal) ? "start" : position.EndsWith("left", StringComparison.Ordinal) ? "end" : "middle";
                svg.Label(tx, ty, labels[i], size, scatter.TextFont?.Color ?? style.Ink, anchor, 0, scatter.TextFont?.Family);
            }
        }
    }

    private string MarkerColor(Marker? marker, int index, string fallback)
    {
        if (marker?.Color is not { Count: > 1 } colors)
        {
            return marker?.Color is { IsText: true } one ? one.Text(0) : fallback;
        }

        if (colors.IsText)
        {
            return colors.Text(index);
        }

        var (low, high) = (marker.CMin ?? 0, marker.CMax ?? 1);
        return (marker.ColorScale ?? ColorScale.Sequential).In(style).Hex((colors.Number(index) - low) / Math.Max(1e-12, high - low));
    }

    private void Bars(Bar bar, StaticAxis x, StaticAxis y, string next)
    {
        var bars = layout.BarMode is null or "group" ? traces.OfType<Bar>().Where(b => b.XAxis == bar.XAxis && b.YAxis == bar.YAxis).ToList() : [bar];
        var sideways = bar.Orientation == "h";
        var (along, across) = sideways ? (bar.Y, bar.X) : (bar.X, bar.Y);
        var unit = sideways ? y.Unit : x.Unit;
        var step = along is { IsText: false, Count: > 1 } ? Math.Abs(along.Number(1) - along.Number(0)) : 1;
        var thick = unit * step * (1 - (traces.OfType<Histogram>().Any() ? 0.02 : layout.BarGap ?? 0.2)) / Math.Max(1, bars.Count);
        var offset = (bars.IndexOf(bar) is var place and >= 0 ? place - ((bars.Count - 1) / 2.0) : 0) * thick;
        var order = Categories(sideways ? bar.YAxis ?? "y" : bar.XAxis ?? "x", sideways);
        for (var i = 0; i < along.Count; i++)
        {
            var value = across.Number(i);
            if (!double.IsFinite(value))
            {
                continue;
            }

            var fill = MarkerColor(bar.Marker, i, next);
            var hover = bar.Text is { } texts ? PlotlyText.Plain(texts[i]) : PlotlyText.Number(value);
            var where = along.IsText ? order!.ToList().IndexOf(along.Text(i)) : along.Number(i);
            if (sideways)
            {
                var (from, to) = (x.At(0), x.At(value));
                svg.Rectangle(Math.Min(from, to), y.At(where) + offset - (thick / 2), Math.Abs(to - from), thick, fill, hover);
                if (bar.TextPosition is "outside" or "auto")
                {
                    svg.Label(to + (value < 0 ? -5 : 5), y.At(where) + offset, bar.Text![i], style.FontSize, style.Ink, value < 0 ? "end" : "start");
                }
            }
            else
            {
                var (from, to) = (y.At(0), y.At(value));
                svg.Rectangle(x.At(where) + offset - (thick / 2), Math.Min(from, to), thick, Math.Abs(to - from), fill, hover);
                if (bar.ErrorY is { } errors && double.IsFinite(errors.Array.Number(i)))
                {
                    svg.Line(x.At(where) + offset, y.At(value - errors.Array.Number(i)), x.At(where) + offset, y.At(value + errors.Array.Number(i)), style.Ink);
                }

                if (bar.TextPosition is "outside" or "auto")
                {
                    svg.Label(x.At(where) + offset, to + (value < 0 ? style.FontSize : -style.FontSize * 0.7), bar.Text![i], style.FontSize, style.Ink);
                }
            }
        }
    }

    /// <summary>A histogram as bars: what plotly.js counts by itself.</summary>
    private static Bar Counted(Histogram histogram)
    {
        var numbers = Enumerable.Range(0, histogram.X.Count).Select(histogram.X.Number).Where(double.IsFinite).ToArray();
        var (low, high) = numbers.Length == 0 ? (0.0, 1.0) : (numbers.Min(), numbers.Max());
        var bins = histogram.XBins ?? new Bins(low, high, Math.Max((high - low) / 30, 1e-12));
        var count = Math.Clamp((int)Math.Ceiling(((bins.End - bins.Start) / bins.Size) - 1e-9), 1, 10_000);
        var counts = new double[count];
        foreach (var number in numbers.Where(n => n >= bins.Start && n <= bins.End))
        {
            counts[Math.Min(count - 1, (int)((number - bins.Start) / bins.Size))]++;
        }

        return new Bar
        {
            X = Enumerable.Range(0, count).Select(i => bins.Start + ((i + 0.5) * bins.Size)).ToArray(),
            Y = counts,
            Marker = histogram.Marker,
            XAxis = histogram.XAxis,
            YAxis = histogram.YAxis,
        };
    }

    private void Rows(Table table, Box area)
    {
        var size = table.Cells.Font?.Size ?? style.FontSize;
        var columns = table.Header.Values.Count;
        var parts = table.ColumnWidth ?? [.. Enumerable.Repeat(1.0, columns)];
        var rowHeight = table.Cells.Height ?? (size * 1.8);
        var x = area.Left;
        for (var column = 0; column < columns; column++)
        {
            var w = area.Width * parts[column] / parts.Sum();
            svg.Rectangle(x, area.Top, w, rowHeight, table.Header.Fill?.Color ?? style.Grid, null, style.Grid);
            svg.Label(x + 6, area.Top + (rowHeight / 2), table.Header.Values[column][0], size, style.Ink, "start", bold: true);
            for (var row = 0; row < table.Cells.Values[column].Count; row++)
            {
                var top = area.Top + ((row + 1) * rowHeight);
                svg.Rectangle(x, top, w, rowHeight, style.Paper, null, style.Grid);
                svg.Label(x + 6, top + (rowHeight / 2), Shorten(table.Cells.Values[column][row], w - 8, size), size, style.Ink, "start");
            }

            x += w;
        }
    }

    private static string Shorten(string label, double width, double size)
    {
        var plain = PlotlyText.Plain(label);
        if (SvgText.WidthOf(plain, size) <= width)
        {
            return label;
        }

        var keep = plain.Length;
        while (keep > 1 && SvgText.WidthOf(plain[..keep] + "…", size) > width)
        {
            keep -= char.IsLowSurrogate(plain[keep - 1]) ? 2 : 1;
        }

        return PlotlyText.Escape(plain[..keep]) + "…";
    }

    private int ColorBar(ColorBar? bar, ColorScale? scale, double low, double high, Box area, int before)
    {
        scale = (scale ?? ColorScale.Sequential).In(style);
        var size = style.FontSize;
        var x = area.Left + (area.Width * (bar?.X ?? 1.02)) + (bar?.X is null ? before * 80 : 0);
        var length = area.Height * (bar?.Len ?? 1);
        var middle = area.Bottom - (area.Height * (bar?.Y ?? 0.5));
        var top = middle - (length / 2);
        const int Steps = 48;
        for (var i = 0; i < Steps; i++)
        {
            svg.Rectangle(x, top + (length * i / Steps), bar?.Thickness ?? 14, (length / Steps) + 0.6, scale.Hex(1 - ((i + 0.5) / Steps)));
        }

        var axis = new StaticAxis(new Axis(), null, low, high, top + length, -length);
        foreach (var (place, text) in axis.Ticks(size * 1.6))
        {
            svg.Label(x + (bar?.Thickness ?? 14) + 5, place, text, size * 0.9, style.Ink, "start");
        }

        if (bar?.Title is { } title)
        {
            if (title.Side == "right")
            {
                svg.Label(x + (bar.Thickness ?? 14) + (size * 3.4), middle, title.Text, size * 0.95, style.Ink, "middle", 90);
            }
            else
            {
                svg.Label(x, top - (size * 0.9), title.Text, size * 0.95, style.Ink, "start");
            }
        }

        return 1;
    }

    private void Shapes(Box area, string layer)
    {
        foreach (var shape in layout.Shapes ?? [])
        {
            if ((shape.Layer ?? "above") != layer)
            {
                continue;
            }

            var (x0, y0) = At(shape.X0, shape.Y0, shape.XRef, shape.YRef, area);
            var (x1, y1) = At(shape.X1, shape.Y1, shape.XRef, shape.YRef, area);
            if (shape.Type == "line")
            {
                svg.Line(x0, y0, x1, y1, shape.Line?.Color ?? style.Ink, shape.Line?.Width ?? 1, shape.Line?.Dash);
            }
            else
            {
                svg.Rectangle(Math.Min(x0, x1), Math.Min(y0, y1), Math.Abs(x1 - x0), Math.Abs(y1 - y0), shape.FillColor ?? "none", null,
                    shape.Line?.Width == 0 ? null : shape.Line?.Color);
            }
        }
    }

    private (double X, double Y) At(double x, double y, string? xRef, string? yRef, Box area)
    {
        var onX = plots.FirstOrDefault(p => p.Key.StartsWith((xRef ?? "x") + "y", StringComparison.Ordinal)).Value.X;
        var onY = plots.FirstOrDefault(p => p.Key.EndsWith(yRef ?? "y", StringComparison.Ordinal)).Value.Y;
        return (
            xRef == "paper" || onX is null ? area.Left + (area.Width * x) : onX.At(x),
            yRef == "paper" || onY is null ? area.Bottom - (area.Height * y) : onY.At(y));
    }

    private void Annotation(Annotation annotation, Box area)
    {
        var (x, y) = At(annotation.X, annotation.Y, annotation.XRef, annotation.YRef, area);
        var (textX, textY) = (x, y);
        if (annotation.ShowArrow)
        {
            var (fromX, fromY) = annotation.AxRef is null
                ? (x + (annotation.Ax ?? -10), y + (annotation.Ay ?? -30))
                : At(annotation.Ax ?? 0, annotation.Ay ?? 0, annotation.AxRef, annotation.AyRef, area);
            Arrow(annotation, fromX, fromY, x, y);
            (textX, textY) = (fromX, fromY);
        }

        if (annotation.Text is { Length: > 0 } text)
        {
            var size = annotation.Font?.Size ?? style.FontSize;
            var lines = PlotlyText.Plain(text).Count(c => c == '\n') + 1;
            var anchor = annotation.XAnchor switch { "left" => "start", "right" => "end", _ => "middle" };
            var lift = annotation.YAnchor switch { "top" => lines * size * 0.65, "bottom" => -lines * size * 0.65, _ => 0 };
            svg.Label(textX, textY + lift, text, size, annotation.Font?.Color ?? style.Ink, anchor, 0, annotation.Font?.Family);
        }
    }

    private void Arrow(Annotation annotation, double fromX, double fromY, double toX, double toY)
    {
        var length = Math.Sqrt(((toX - fromX) * (toX - fromX)) + ((toY - fromY) * (toY - fromY)));
        if (length < 1e-6)
        {
            return;
        }

        var (ux, uy) = ((toX - fromX) / length, (toY - fromY) / length);
        var (tipX, tipY) = (toX - (ux * (annotation.Standoff ?? 0)), toY - (uy * (annotation.Standoff ?? 0)));
        var color = annotation.ArrowColor ?? style.Muted;
        var opacity = annotation.Opacity ?? 1;
        var line = annotation.ArrowWidth ?? 1.5;
        svg.Line(fromX + (ux * (annotation.StartStandoff ?? 0)), fromY + (uy * (annotation.StartStandoff ?? 0)), tipX, tipY, color, line, null, opacity);
        if (annotation.ArrowHead != 0)
        {
            var head = Math.Max(4, line * 3) * (annotation.ArrowSize ?? 1);
            var (bx, by) = (tipX - (ux * head), tipY - (uy * head));
            svg.Raw($"""<path d="M{SvgText.N(tipX)} {SvgText.N(tipY)}L{SvgText.N(bx - (uy * head * 0.45))} {SvgText.N(by + (ux * head * 0.45))}L{SvgText.N(bx + (uy * head * 0.45))} {SvgText.N(by - (ux * head * 0.45))}Z" fill="{SvgText.Escape(color)}" fill-opacity="{SvgText.N(opacity)}"/>""");
        }
    }

    private IEnumerable<Trace> LegendTraces()
    {
        var named = traces.Where(t => t.Name is not null && t.ShowLegend != false && t is not HeatMap and not Table).ToList();
        return layout.ShowLegend == false || (named.Count < 2 && layout.ShowLegend != true) ? [] : named;
    }

    private void Legend(Box area)
    {
        var size = style.FontSize;
        var sideways = layout.Legend?.Orientation == "h";
        var x = area.Left + (area.Width * (layout.Legend?.X ?? (sideways ? 0 : 1.02)));
        var y = area.Bottom - (area.Height * (layout.Legend?.Y ?? 1)) + (sideways ? -size * 0.9 : size * 0.6);
        var colors = traces.Where(t => t is Scatter or Bar or Histogram).ToList();
        foreach (var trace in LegendTraces())
        {
            var needed = SvgText.WidthOf(PlotlyText.Plain(trace.Name!), size) + 44;
            if (sideways && x > area.Left && x + needed > width)
            {
                (x, y) = (area.Left, y - (size * 1.5));
            }

            var next = style.Palette[Math.Max(0, colors.IndexOf(trace)) % style.Palette.Count];
            var color = trace switch
            {
                Scatter s => s.Line?.Color ?? (s.Marker?.Color is { IsText: true } c ? c.Text(0) : next),
                Bar { Marker.Color: { IsText: true } c } => c.Text(0),
                Histogram { Marker.Color: { IsText: true } c } => c.Text(0),
                _ => next,
            };
            if (trace is Scatter { Mode: "lines" } line)
            {
                svg.Line(x, y, x + 20, y, color, line.Line?.Width ?? 2, line.Line?.Dash);
            }
            else
            {
                svg.Circle(x + 10, y, 4, color);
            }

            svg.Label(x + 27, y, trace.Name!, size * 0.92, style.Ink, "start");
            if (sideways)
            {
                x += needed;
            }
            else
            {
                y += size * 1.5;
            }
        }
    }

    /// <summary>A rectangle on the page.</summary>
    private readonly record struct Box(double Left, double Top, double Right, double Bottom)
    {
        public double Width => Right - Left;

        public double Height => Bottom - Top;
    }
}
