using Plotly.NET;
using Plotly.NET.LayoutObjects;
using Plotly.NET.TraceObjects;

namespace HeadScope;

/// <summary>
/// Plotly.NET's objects from C#. Since version 6 its init functions take every one of up to ninety arguments, so that they can be called from F#
/// alone; the objects themselves are dictionaries that are written as JSON, and what goes into them has the names of plotly.js.
/// </summary>
internal static class PlotlyObject
{
    /// <summary>Sets properties under their plotly.js names, <c>new Marker().With(new { size = 7 })</c>; null leaves one out.</summary>
    public static T With<T>(this T target, object properties)
        where T : DynamicObj.DynamicObj
    {
        foreach (var property in properties.GetType().GetProperties())
        {
            if (property.GetValue(properties) is { } value)
            {
                target.SetProperty(property.Name, value);
            }
        }

        return target;
    }

    public static Title Title(string text) => new Title().With(new { text });

    public static LinearAxis Axis(string? title, object properties) => new LinearAxis().With(new { title = title is null ? null : Title(title) }).With(properties);

    public static Trace2D Scatter(object properties) => new Trace2D("scatter").With(properties);

    public static Trace2D Bar(object properties) => new Trace2D("bar").With(properties);

    public static Trace2D HeatMap(object properties) => new Trace2D("heatmap").With(properties);

    /// <summary>What is told where the pointer is, a text for each point, escaped already.</summary>
    public static Trace2D Telling(this Trace2D trace, object texts)
    {
        trace.RemoveProperty("hoverinfo");
        return trace.With(new { hovertext = texts, hovertemplate = "%{hovertext}<extra></extra>" });
    }

    public static Line Line(object properties) => new Line().With(properties);

    public static Marker Marker(object properties) => new Marker().With(properties);

    public static Font Font(object properties) => new Font().With(properties);

    public static Font Tokens(int size = 11, string? color = null) => Font(new { family = ChartStyle.Monospace, size, color });

    public static Margin Margin(object properties) => new Margin().With(properties);

    /// <summary>The colours of numbers beside a plot; the title is escaped already.</summary>
    public static ColorBar ColorBar(string title) => new ColorBar().With(new { title = Title(title) });

    /// <summary>How far numbers spread to each side.</summary>
    public static Error Spread(IEnumerable<double> spreads) => new Error().With(new
    {
        type = "data", array = spreads.Select(spread => double.IsFinite(spread) ? spread : 0).ToArray(), thickness = 1.2, width = 3, color = ChartStyle.Ink,
    });

    /// <summary>A number as JSON has it: Plotly.NET writes NaN as a text, and null is a gap.</summary>
    public static double? Finite(double value) => double.IsFinite(value) ? value : null;

    /// <summary>A chart of fresh objects: Plotly.NET's functions change the chart that they are given, so that nothing may be shared between charts.</summary>
    /// <param name="traces">The data.</param>
    /// <param name="layout">Everything else.</param>
    /// <param name="caption">What is to be seen, in a sentence, for those who cannot see it; plain text.</param>
    /// <param name="paper">How it is laid out on paper, beyond what holds for every chart; see <see cref="PaperLayout"/>.</param>
    public static GenericChart Chart(IEnumerable<Trace> traces, Layout layout, string caption, PaperLayout? paper = null)
    {
        layout.SetProperty("template", ChartStyle.Template());
        layout.SetProperty("meta", new { caption, paper });
        var chart = GenericChart.setLayout(layout, GenericChart.ofTraceObjects(false, Microsoft.FSharp.Collections.ListModule.OfSeq(traces)));
        return GenericChart.setConfig(new Config().With(new { responsive = layout.TryGetPropertyValue("width") is null, displaylogo = false }), chart);
    }
}

/// <summary>What a chart asks for on paper, as plotly.js's <c>meta.paper</c>; lengths in millimetres of a figure whose text has 7 points.</summary>
/// <param name="Rows">How many rows of <paramref name="RowHeight"/> the plot has; null where the height follows from the width.</param>
/// <param name="RowHeight">The height of a row.</param>
/// <param name="Ratio">The height of the plot for its width, where it has no rows.</param>
/// <param name="Text">The tokens of a chart that shows text, whose lines are broken anew.</param>
internal sealed record PaperLayout(double? Rows = null, double RowHeight = 3, double Ratio = 0.6, PaperText? Text = null);
