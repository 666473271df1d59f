using Plotly.NET;
using Plotly.NET.TraceObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>Bars with labels, from top to bottom.</summary>
    /// <param name="bars">The bars: label, number, and how far the number spreads (0 for not at all); NaN leaves a gap.</param>
    /// <param name="title">What is shown; any text, as is the title of the axis.</param>
    /// <param name="valueTitle">What the numbers are.</param>
    /// <returns>The chart; negative numbers have another colour.</returns>
    public static GenericChart Bars(IReadOnlyList<(string Label, double Value, double Spread)> bars, string title, string valueTitle)
    {
        ArgumentNullException.ThrowIfNull(bars);
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(valueTitle);
        var labels = bars.Select(bar => PlotlyText.Escape(bar.Label)).ToArray();
        string[] told = [.. bars.Select((bar, i) => $"{labels[i]}: {PlotlyText.Number(bar.Value)}{(bar.Spread > 0 ? $" ± {PlotlyText.Number(bar.Spread)}" : "")}")];
        return Chart(
            [
                Bars(bars.Select(bar => bar.Value), told, new
                {
                    marker = Marker(new { color = bars.Select(bar => ChartStyle.Palette[bar.Value < 0 ? 1 : 0]).ToArray() }),
                    error_x = bars.Any(bar => bar.Spread > 0) ? Spread(bars.Select(bar => Math.Max(0, bar.Spread))) : null,
                }),
            ],
            Figure(PlotlyText.Escape(title), 560, Math.Clamp(bars.Count * 22.0, 80, 900) + 130, new
            {
                bargap = 0.25, xaxis = Axis(PlotlyText.Escape(valueTitle), new { zeroline = true }), yaxis = Labelled(null, labels, reversed: true),
            }),
            $"{title}: {valueTitle} of {string.Join(", ", bars.Take(5).Select(bar => $"{bar.Label} ({PlotlyText.Number(bar.Value)})"))}{(bars.Count > 5 ? $", … {bars.Count} in all" : "")}.",
            new PaperLayout(bars.Count, 3.5));
    }

    /// <summary>How often numbers occur.</summary>
    /// <param name="values">The numbers; those that are not finite are left out, which the caption says.</param>
    /// <param name="title">What is shown; any text, as is the title of the axis.</param>
    /// <param name="valueTitle">What the numbers are.</param>
    /// <param name="bins">How many bins there are.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no bins.</exception>
    public static GenericChart Distribution(IReadOnlyList<float> values, string title, string valueTitle, int bins = 40)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(valueTitle);
        ArgumentOutOfRangeException.ThrowIfLessThan(bins, 1);
        var finite = values.Where(float.IsFinite).ToArray();
        var (low, high) = finite.Length == 0 ? (0.0, 1.0) : ((double)finite.Min(), finite.Max());

        // A trifle wider than the numbers, so that the greatest is inside of the last bin.
        var width = Math.Max((high - low) * (1 + 1e-6) / bins, 1e-9);
        return Chart(
            [
                new Trace2D("histogram").With(new
                {
                    x = finite, xbins = new Bins().With(new { start = low, end = low + (width * bins), size = width }),
                    marker = Marker(new { color = ChartStyle.Palette[0], line = Line(new { color = ChartStyle.Paper, width = 0.5 }) }), hovertemplate = "%{x}: %{y}<extra></extra>",
                }),
            ],
            Figure(PlotlyText.Escape(title), 560, 360, new { xaxis = Axis(PlotlyText.Escape(valueTitle), new { showline = true }), yaxis = Axis("count", new { rangemode = "tozero" }) }),
            $"{title}: {finite.Length} numbers from {PlotlyText.Number(low)} to {PlotlyText.Number(high)}"
            + $"{(finite.Length < values.Count ? $"; {values.Count - finite.Length} that are not finite are left out" : "")}.");
    }
}
