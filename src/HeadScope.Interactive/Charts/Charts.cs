using Plotly.NET;
using Plotly.NET.LayoutObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

/// <summary>
/// The charts of HeadScope's results, each one call that returns a fresh Plotly.NET chart to style on (<c>using Plotly.NET.CSharp</c>). They show what
/// a result holds and compute no score of their own. Every text that comes from a model, a prompt or a file is escaped.
/// </summary>
public static partial class Charts
{
    /// <summary>Everything but the data: the title, escaped already, and the size on a screen, in pixels.</summary>
    private static Layout Figure(string title, double width, double height, object more) => new Layout().With(new { title = Title(title), width = (int)width, height = (int)height }).With(more);

    /// <summary>A legend in a line of its own between the title and the plot.</summary>
    private static Layout LegendAbove(this Layout layout, string? order = null) => layout.With(new
    {
        legend = new Legend().With(new { orientation = "h", x = 0, y = 1.01, yanchor = "bottom", traceorder = order }), margin = Margin(new { t = 84 }),
    });

    /// <summary>One of several panels: its title, escaped already, the parts of the width and of the height that it takes, from the left and from below, and its axes.</summary>
    private sealed record Panel(string? Title, (double From, double To) Across, (double From, double To) Up, LinearAxis X, LinearAxis Y);

    private static Layout Panels(this Layout layout, params IEnumerable<Panel> panels)
    {
        var titles = new List<Annotation>();
        foreach (var (i, (title, across, up, x, y)) in panels.Index())
        {
            layout.SetProperty($"xaxis{Nth(i)}", x.With(new { domain = new[] { across.From, across.To }, anchor = $"y{Nth(i)}" }));
            layout.SetProperty($"yaxis{Nth(i)}", y.With(new { domain = new[] { up.From, up.To }, anchor = $"x{Nth(i)}" }));
            if (title is not null)
            {
                titles.Add(Note(title, (across.From + across.To) / 2, up.To, "center"));
            }
        }

        return layout.With(new { annotations = titles.Count > 0 ? titles.ToArray() : null });
    }

    /// <summary>A trace in one of several panels.</summary>
    private static Trace2D In(this Trace2D trace, int panel) => trace.With(new { xaxis = $"x{Nth(panel)}", yaxis = $"y{Nth(panel)}" });

    private static string Nth(int panel) => panel == 0 ? "" : FormattableString.Invariant($"{panel + 1}");

    /// <summary>A text above a place of the plot, in parts of its width and height; escaped already.</summary>
    private static Annotation Note(string text, double x, double y, string xanchor) => new Annotation().With(new
    {
        text, x, y, xref = "paper", yref = "paper", xanchor, yanchor = "bottom", showarrow = false,
    });

    /// <summary>Cells of numbers, with gaps where one is not finite, and lines between them where they are few.</summary>
    private static Trace2D Cells(double[][] numbers, double low, double high, object colorscale, object more) => HeatMap(new
    {
        z = numbers.Select(row => row.Select(Finite).ToArray()).ToArray(), zmin = low, zmax = high, colorscale, hoverongaps = false,
        xgap = numbers.Length > 0 && numbers[0].Length > 40 ? 0 : 1, ygap = numbers.Length > 40 ? 0 : 1,
    }).With(more);

    /// <summary>Bars from the left, the first above; with what is told of each.</summary>
    private static Trace2D Bars(IEnumerable<double> numbers, string[] told, object more) =>
        Bar(new { orientation = "h", x = numbers.Select(Finite).ToArray(), y = Enumerable.Range(0, told.Length).ToArray() }).Telling(told).With(more);

    /// <summary>Texts at places, escaped already.</summary>
    private static Trace2D Texts(IEnumerable<(double X, double Y, string Text)> texts, string textposition, Font textfont) => Scatter(new
    {
        mode = "text", x = texts.Select(text => text.X).ToArray(), y = texts.Select(text => text.Y).ToArray(), text = texts.Select(text => text.Text).ToArray(), textposition, textfont,
        cliponaxis = false, hoverinfo = "skip", showlegend = false,
    });

    /// <summary>An axis of whole numbers, such as heads or layers.</summary>
    private static LinearAxis Indices(string? title, int count, bool reversed = false) => Axis(title, new
    {
        tick0 = 0, dtick = Math.Max(1, (int)Math.Ceiling(count / 30.0)), showgrid = false, zeroline = false, autorange = reversed ? "reversed" : null,
    });

    /// <summary>An axis with labels at places, such as tokens at positions; the labels are escaped already.</summary>
    private static LinearAxis Labelled(string? title, IReadOnlyList<string> labels, bool reversed = false, int? angle = null) => Axis(title, new
    {
        tickvals = Enumerable.Range(0, labels.Count).ToArray(), ticktext = labels, tickangle = angle, showgrid = false, zeroline = false, autorange = reversed ? "reversed" : null,
    });

    /// <summary>Rows of cells on paper: as high as a line of text, lower where there are many.</summary>
    private static PaperLayout CellRows(int rows) => new(Math.Max(1, rows), Math.Clamp(110.0 / rows, 1.2, 5));
}
