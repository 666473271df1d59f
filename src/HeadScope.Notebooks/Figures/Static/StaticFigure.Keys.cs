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
}
