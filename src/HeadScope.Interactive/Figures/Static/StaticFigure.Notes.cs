using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <content>What stands in a figure beside its data: shapes, notes and arrows.</content>
internal sealed partial class StaticFigure
{
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
            var lines = Notebooks.Plotly.PlotlyText.Plain(text).Count(c => c == '\n') + 1;
            var anchor = annotation.XAnchor switch { "left" => "start", "right" => "end", _ => "middle" };
            var lift = annotation.YAnchor switch { "top" => lines * size * 0.65, "bottom" => -lines * size * 0.65, _ => 0 };
            svg.Label(textX, textY + lift, text, size, annotation.Font?.Color ?? style.Ink, anchor, 0, annotation.Font?.Family);
        }
    }

    private void Arrow(Annotation annotation, double fromX, double fromY, double toX, double toY)
    {
        var thick = annotation.ArrowWidth ?? 1.5;
        Arrow(
            (fromX, fromY), (toX, toY), annotation.ArrowColor ?? style.Muted, thick, annotation.Opacity ?? 1,
            annotation.ArrowHead == 0 ? 0 : Math.Max(4, thick * 3) * (annotation.ArrowSize ?? 1), annotation.StartStandoff ?? 0, annotation.Standoff ?? 0);
    }

    /// <summary>A line with a head at its end, or without one when that is 0 long.</summary>
    private void Arrow((double X, double Y) from, (double X, double Y) to, string color, double thick, double opacity, double head, double startAway, double endAway)
    {
        var (dx, dy) = (to.X - from.X, to.Y - from.Y);
        var length = Math.Sqrt((dx * dx) + (dy * dy));
        if (length < 1e-6)
        {
            return;
        }

        var (ux, uy) = (dx / length, dy / length);
        var (tipX, tipY) = (to.X - (ux * endAway), to.Y - (uy * endAway));
        var (bx, by) = (tipX - (ux * head), tipY - (uy * head));
        svg.Line(from.X + (ux * startAway), from.Y + (uy * startAway), bx, by, color, thick, null, opacity);
        if (head > 0)
        {
            svg.Raw($"""<path d="M{SvgText.N(tipX)} {SvgText.N(tipY)}L{SvgText.N(bx - (uy * head * 0.45))} {SvgText.N(by + (ux * head * 0.45))}L{SvgText.N(bx + (uy * head * 0.45))} {SvgText.N(by - (ux * head * 0.45))}Z" fill="{SvgText.Escape(color)}" fill-opacity="{SvgText.N(opacity)}"/>""");
        }
    }
}
