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
    /// <summary>An axis of whole numbers, such as heads or layers.</summary>
    private static LinearAxis Indices(string? title, int count, bool reversed = false) => Axis(new
    {
        title = title is null ? null : Title(title), tick0 = 0, dtick = Math.Max(1, (int)Math.Ceiling(count / 30.0)), showgrid = false, zeroline = false,
        autorange = reversed ? "reversed" : null,
    });

    /// <summary>An axis with labels at places, such as tokens at positions; the labels are escaped already.</summary>
    private static LinearAxis Labelled(string? title, IReadOnlyList<string> labels, bool reversed = false, int? angle = null) => Axis(new
    {
        title = title is null ? null : Title(title), tickvals = Enumerable.Range(0, labels.Count).ToArray(), ticktext = labels, tickangle = angle,
        showgrid = false, zeroline = false, autorange = reversed ? "reversed" : null,
    });

    /// <summary>The title of one panel of several, above its middle; <paramref name="x"/> of the whole width.</summary>
    private static Annotation PanelTitle(string text, double x, double y = 1.02) => new Annotation().With(new
    {
        text, x, y, xref = "paper", yref = "paper", xanchor = "center", yanchor = "bottom", showarrow = false,
    });

    /// <summary>A menu above the titles of the panels that chooses one of several views; at first the first is seen.</summary>
    /// <param name="views">The name of each view, escaped already, and for every trace whether it is seen then.</param>
    private static UpdateMenu[] Menu(IReadOnlyList<(string Name, bool[] Visible)> views) =>
    [
        new UpdateMenu().With(new
        {
            x = 0, xanchor = "left", y = 1, yanchor = "bottom", pad = new { b = 24 }, showactive = true, direction = "down", active = 0,
            buttons = views.Select(view => new UpdateMenuButton().With(new
            {
                label = view.Name, method = "restyle", args = new object[] { new { visible = view.Visible } },
            })).ToArray(),
        }),
    ];

    /// <summary>The next larger of 0.1, 0.2, … 1: an end for colours that several maps share.</summary>
    private static double ScaleEnd(IEnumerable<float> scores) =>
        Math.Clamp(Math.Ceiling((scores.Where(float.IsFinite).DefaultIfEmpty(0).Max() * 10) - 1e-6) / 10, 0.1, 1);
}
