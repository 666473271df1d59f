using System.Globalization;
using HeadScope.Notebooks.Plotly;

namespace HeadScope.Notebooks.Static;

/// <summary>An axis of a static figure: where a number lies on the page, and where the labels are.</summary>
internal sealed class StaticAxis
{
    private readonly double from;
    private readonly double to;
    private readonly double start;
    private readonly double length;
    private readonly bool logarithmic;
    private readonly Axis axis;
    private readonly IReadOnlyList<string>? categories;

    /// <summary>Puts an axis on the page.</summary>
    /// <param name="axis">The axis.</param>
    /// <param name="categories">The categories when the data are texts.</param>
    /// <param name="low">The lowest number of the data.</param>
    /// <param name="high">The highest number of the data.</param>
    /// <param name="start">Where the axis begins on the page.</param>
    /// <param name="length">How far it goes; negative for up.</param>
    public StaticAxis(Axis axis, IReadOnlyList<string>? categories, double low, double high, double start, double length)
    {
        this.axis = axis;
        this.categories = categories;
        this.start = start;
        this.length = length;
        logarithmic = axis.Type == "log";
        (from, to) = axis.Range is [var first, var last] ? (first, last) : (low, high);
        if (axis.Range is null && axis.AutoRange == "reversed")
        {
            (from, to) = (to, from);
        }

        if (from == to)
        {
            (from, to) = (from - 0.5, to + 0.5);
        }
    }

    /// <summary>Where a number lies on the page.</summary>
    public double At(double value) =>
        start + (((logarithmic ? Math.Log10(Math.Max(value, 1e-300)) : value) - from) / (to - from) * length);

    /// <summary>How long one unit is on the page.</summary>
    public double Unit => Math.Abs(length / (to - from));

    /// <summary>The places and texts of the labels, leaving out labels for which there is no room.</summary>
    /// <param name="room">How many pixels a label needs along the axis.</param>
    public IEnumerable<(double Place, string Text)> Ticks(double room)
    {
        var ticks = AllTicks(room).Where(tick => tick.Value >= Math.Min(from, to) - 1e-9 && tick.Value <= Math.Max(from, to) + 1e-9)
            .Select(tick => (Place: start + ((tick.Value - from) / (to - from) * length), tick.Text)).ToList();
        var step = 1;
        if (ticks.Count > 1)
        {
            var spacing = Math.Abs(ticks[^1].Place - ticks[0].Place) / (ticks.Count - 1);
            step = spacing > 0 ? Math.Max(1, (int)Math.Ceiling(room / spacing)) : 1;
        }

        return ticks.Where((_, i) => i % step == 0);
    }

    private IEnumerable<(double Value, string Text)> AllTicks(double room)
    {
        if (axis.TickVals is { } places)
        {
            return Enumerable.Range(0, places.Count).Select(i =>
                (logarithmic ? Math.Log10(places.Number(i)) : places.Number(i), axis.TickText is { } text ? Notebooks.Plotly.PlotlyText.Plain(text[i]) : PlotlyText.Number(places.Number(i))));
        }

        if (categories is not null)
        {
            return categories.Select((text, i) => ((double)i, Notebooks.Plotly.PlotlyText.Plain(text)));
        }

        var (low, high) = (Math.Min(from, to), Math.Max(from, to));
        if (logarithmic)
        {
            // Less than two powers of ten want more than their ends, and less than half of one the steps of a plain axis.
            int[] within = high - low < 2 ? [1, 2, 5] : [1];
            return high - low < 0.5
                ? Steps(Math.Pow(10, low), Math.Pow(10, high), room).Select(tick => (Math.Log10(tick.Value), tick.Text))
                : Enumerable.Range((int)Math.Floor(low), (int)Math.Ceiling(high) - (int)Math.Floor(low) + 1)
                    .SelectMany(power => within.Select(part => part * Math.Pow(10, power)))
                    .Select(value => (Math.Log10(value), value.ToString("G4", CultureInfo.InvariantCulture)));
        }

        return Steps(low, high, room);
    }

    private IEnumerable<(double Value, string Text)> Steps(double low, double high, double room)
    {
        var step = axis.DTick ?? NiceStep(high - low, Math.Max(2, Math.Abs(length) / Math.Max(room, 45)));
        var first = Math.Ceiling((low / step) - 1e-9);
        var count = (int)Math.Clamp(Math.Floor((high / step) + 1e-9) - first + 1, 0, 1000);
        var digits = Math.Max(0, -(int)Math.Floor(Math.Log10(step) + 1e-9));
        if (step * Math.Pow(10, digits) % 1 is > 1e-6 and < 0.999999)
        {
            digits++;
        }

        return Enumerable.Range(0, count).Select(i =>
        {
            var value = (first + i) * step;
            return (value, value.ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture));
        });
    }

    /// <summary>A step of 1, 2 or 5 times a power of ten that makes about so many steps.</summary>
    private static double NiceStep(double span, double steps)
    {
        var raw = span / steps;
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return (raw / power) switch
        {
            <= 1 => power,
            <= 2 => 2 * power,
            <= 5 => 5 * power,
            _ => 10 * power,
        };
    }
}
