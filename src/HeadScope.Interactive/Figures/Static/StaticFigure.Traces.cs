using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <content>Traces: cells, points, bars and rows, one function for each kind.</content>
internal sealed partial class StaticFigure
{
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
                    Notebooks.Plotly.PlotlyText.Plain(text is null or "" || map.TextTemplate is not null ? PlotlyText.Number(value) : text));
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
        if (scatter.Marker is { Symbol: "arrow", AngleRef: "previous" } arrow)
        {
            for (var i = 1; i < at.Count; i++)
            {
                if (at[i - 1] is { } from && at[i] is { } to)
                {
                    Arrow(from, to, oneColor, scatter.Line?.Width ?? 2, scatter.Opacity ?? 1, arrow.Size?.Number(Math.Min(i, arrow.Size.Count - 1)) ?? 6, 0,
                        arrow.Standoff?.Number(Math.Min(i, arrow.Standoff.Count - 1)) ?? 0);
                }
            }

            return;
        }

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
                var hover = (scatter.HoverText ?? scatter.Text) is { } texts && i < texts.Count ? Notebooks.Plotly.PlotlyText.Plain(texts[i]) : null;
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
                var position = scatter.TextPosition is { Count: > 0 } where ? where.Text(where.Count == 1 ? 0 : i) : "middle center";
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
            var hover = bar.Text is { } texts ? Notebooks.Plotly.PlotlyText.Plain(texts[i]) : PlotlyText.Number(value);
            var where = along.IsText ? order!.ToList().IndexOf(along.Text(i)) : along.Number(i);
            if (sideways)
            {
                var (from, to) = (x.At(0), x.At(value));
                svg.Rectangle(Math.Min(from, to), y.At(where) + offset - (thick / 2), Math.Abs(to - from), thick, fill, hover);
                if (bar.ErrorX is { } spreads && double.IsFinite(spreads.Array.Number(i)))
                {
                    svg.Line(x.At(value - spreads.Array.Number(i)), y.At(where) + offset, x.At(value + spreads.Array.Number(i)), y.At(where) + offset, style.Ink);
                }

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
        var plain = Notebooks.Plotly.PlotlyText.Plain(label);
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
}
