using System.Globalization;
using HeadScope.Notebooks.Plotly;

namespace HeadScope;

/// <summary>
/// The figures of HeadScope's results, each one call. They show what a result holds and compute no score of their own. Every text that
/// comes from a model, a prompt or a file is escaped.
/// </summary>
public static partial class Figures
{
    /// <summary>Three digits, as scores are read.</summary>
    private static string Score(double value) => double.IsFinite(value) ? value.ToString("0.00", CultureInfo.InvariantCulture) : "-";

    private static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>The names of a thing as people write them: <c>country_to_capital</c> becomes <c>country to capital</c>.</summary>
    private static string Spoken(string name) => PlotlyText.Escape(name.Replace('_', ' '));

    /// <summary>An axis of whole numbers, all of them labelled when there is room.</summary>
    private static Axis Indices(string title, int count, bool reversed = false, double room = 30) => new()
    {
        Title = title,
        Tick0 = 0,
        DTick = Math.Max(1, Math.Ceiling(count / room)),
        ShowGrid = false,
        ZeroLine = false,
        AutoRange = reversed ? "reversed" : null,
    };

    /// <summary>Labels at places, such as tokens at positions.</summary>
    private static Axis Labelled(string? title, IReadOnlyList<string> labels, bool reversed = false, double? angle = null) => new()
    {
        Title = title,
        TickVals = Enumerable.Range(0, labels.Count).ToArray(),
        TickText = labels,
        TickAngle = angle,
        ShowGrid = false,
        ZeroLine = false,
        AutoRange = reversed ? "reversed" : null,
    };

    /// <summary>The next larger of 0.1, 0.2, … 1: an end for colours that several maps share.</summary>
    private static double ScaleEnd(IEnumerable<float> scores) =>
        Math.Clamp(Math.Ceiling((scores.Where(float.IsFinite).DefaultIfEmpty(0).Max() * 10) - 1e-6) / 10, 0.1, 1);

    /// <summary>A legend that chooses one of several views with a click.</summary>
    private static Legend ChoosingLegend(string what) => new()
    {
        Title = $"{what} (click)",
        ItemClick = "toggleothers",
        ItemDoubleClick = false,
        X = 1.14,
        Y = 1,
    };

    private static Annotation PanelTitle(string text, double x) => new()
    {
        Text = text,
        X = x,
        Y = 1.02,
        XRef = "paper",
        YRef = "paper",
        XAnchor = "center",
        YAnchor = "bottom",
        ShowArrow = false,
    };

    private static ColorBar Bar(string title) => new() { Title = new Title { Text = title, Side = "right" }, Thickness = 12, OutlineWidth = 0 };
}
