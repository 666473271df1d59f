using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <content>Axes: grid lines below the data, ticks and labels above them.</content>
internal sealed partial class StaticFigure
{
    private void Frame(StaticPlot plot)
    {
        var (x, y, box, xAxis, yAxis) = plot;
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

    private void Labels(StaticPlot plot)
    {
        var (x, y, box, xAxis, yAxis) = plot;
        var size = style.FontSize;
        if (xAxis.Visible != false && IsAnchor(NameOf(xAxis, "x"), xAxis.Anchor ?? "y", NameOf(yAxis, "y"), across: true))
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

        if (yAxis.Visible != false && IsAnchor(NameOf(yAxis, "y"), yAxis.Anchor ?? "x", NameOf(xAxis, "x"), across: false))
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

    /// <summary>Whether an axis that several plots share has its labels at this one: at the plot of its anchor, where there is one.</summary>
    private bool IsAnchor(string axis, string anchor, string other, bool across) =>
        other == anchor || !plots.ContainsKey(across ? axis + anchor : anchor + axis);

    private string NameOf(Axis axis, string fallback) => layout.Axes.FirstOrDefault(pair => ReferenceEquals(pair.Value, axis)).Key ?? fallback;
}
