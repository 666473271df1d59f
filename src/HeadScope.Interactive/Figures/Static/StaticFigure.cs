using System.Globalization;
using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <summary>
/// Draws a figure as SVG without Plotly and without a browser: what a page shows before plotly.js is there or where there is no network,
/// and what sites show that display notebooks without running scripts. It knows the attributes that HeadScope's figures use.
/// </summary>
internal sealed partial class StaticFigure
{
    private readonly Figure figure;
    private readonly FigureStyle style;
    private readonly Layout layout;
    private readonly IReadOnlyList<Trace> traces;
    private readonly double width;
    private readonly double height;
    private readonly SvgText svg = new();
    private readonly Dictionary<string, StaticPlot> plots = new(StringComparer.Ordinal);

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
            Frame(plot);
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
            Labels(plot);
        }

        Shapes(area, "above");
        foreach (var annotation in layout.Annotations ?? [])
        {
            Annotation(annotation, area);
        }

        Legend(area);
        return svg.Raw("</svg>").ToString();
    }
}
