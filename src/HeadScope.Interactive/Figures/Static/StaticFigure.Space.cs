using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <content>How a figure shares the page: the room that labels, legend and colour bars need, and the ends of the axes.</content>
internal sealed partial class StaticFigure
{
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
        var legend = LegendTraces().Select(t => SvgText.WidthOf(Notebooks.Plotly.PlotlyText.Plain(t.Name!), size)).DefaultIfEmpty(0).Max();
        var beside = layout.Legend?.Orientation != "h" && legend > 0 ? legend + 46 : 0;
        var right = Math.Max(layout.Margin?.R ?? 24, (bars ? 90 : 0) + beside + 12);
        var notes = layout.Annotations?.Any(a => a is { YRef: "paper", Y: >= 1, Text.Length: > 0 }) == true ? size * 1.5 : 0;
        var top = layout.Margin?.T ?? ((layout.Title is null ? 20 : 48) + notes);
        return new Box(Math.Max(left, 16), top, width - right, height - Math.Max(bottom, 12));
    }

    private double LabelWidth(Axis axis, IReadOnlyList<string>? categories, double size) =>
        (axis.TickText ?? categories ?? (axis.DTick is >= 1 and { } step && step % 1 == 0 ? ["00"] : ["0.000"]))
            .Select(t => SvgText.WidthOf(Notebooks.Plotly.PlotlyText.Plain(t), axis.TickFont?.Size ?? size, axis.TickFont?.Family == FigureStyle.Monospace)).DefaultIfEmpty(0).Max();

    private StaticPlot Plot(string xName, string yName, Box area)
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

        return new StaticPlot(
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
                case Histogram { XBins: { } bins }:
                    Grow(bins.Start, bins.End);
                    break;
                case Bar bar when (bar.Orientation == "h") != vertical:
                    var about = (vertical ? bar.ErrorY : bar.ErrorX)?.Array;
                    var ends = Enumerable.Range(0, column!.Count).SelectMany(i =>
                        (double[])[column.Number(i) + (about?.Number(i) ?? 0), column.Number(i) - (about?.Number(i) ?? 0)]).Where(double.IsFinite).ToArray();
                    Grow(Math.Min(0, ends.DefaultIfEmpty(0).Min() * 1.05), Math.Max(0, ends.DefaultIfEmpty(0).Max() * 1.05));
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
}
