using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <content>What explains colours: the bars of scales and the legend.</content>
internal sealed partial class StaticFigure
{
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
        if (!sideways && layout.Legend?.X is null && traces.Any(t => t is HeatMap { ShowScale: not false } or Scatter { Marker.ShowScale: true }))
        {
            // Beside the colour bar, not on it.
            x += 80;
        }

        // Rows above the plot grow upwards, so that the last one stands nearest to it.
        var rows = sideways ? Rows(x) : [];
        y -= rows.DefaultIfEmpty(0).Last() * size * 1.5;
        foreach (var (trace, i) in LegendTraces().Select((trace, i) => (trace, i)))
        {
            var needed = LegendWidth(trace);
            if (sideways && i > 0 && rows[i] > rows[i - 1])
            {
                (x, y) = (area.Left, y + (size * 1.5));
            }

            var next = style.Palette[Math.Max(0, colors.IndexOf(trace)) % style.Palette.Count];
            var color = trace switch
            {
                Scatter s => s.Line?.Color ?? (s.Marker?.Color is { IsText: true } c ? c.Text(0) : next),
                Bar { Marker.Color: { IsText: true } c } => c.Text(0),
                Histogram { Marker.Color: { IsText: true } c } => c.Text(0),
                _ => next,
            };
            if (trace is Scatter scatter && scatter.Mode.Contains("lines", StringComparison.Ordinal))
            {
                svg.Line(x, y, x + 20, y, color, scatter.Line?.Width ?? 2, scatter.Line?.Dash);
            }

            if (trace is Bar or Histogram)
            {
                svg.Rectangle(x + 5, y - 5, 10, 10, color);
            }
            else if (trace is Scatter { Mode: not "lines" })
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

        // The row of each entry.
        int[] Rows(double start)
        {
            var (place, row) = (start, 0);
            return [.. LegendTraces().Select((trace, i) =>
            {
                if (i > 0 && place + LegendWidth(trace) > width)
                {
                    (place, row) = (area.Left, row + 1);
                }

                place += LegendWidth(trace);
                return row;
            })];
        }
    }

    private double LegendWidth(Trace trace) => SvgText.WidthOf(Notebooks.Plotly.PlotlyText.Plain(trace.Name!), style.FontSize) + 44;
}
