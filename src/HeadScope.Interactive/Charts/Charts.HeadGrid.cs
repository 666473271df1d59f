using Plotly.NET;
using static HeadScope.PlotlyObject;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>A number for every head, such as its direct effect on the logit difference.</summary>
    /// <param name="values">The numbers, [layer, head]; NaN leaves a gap.</param>
    /// <param name="title">What is shown; any text.</param>
    /// <param name="valueName">What the numbers are; any text.</param>
    /// <returns>The chart; colours are symmetric about 0 when a number is negative.</returns>
    /// <exception cref="ArgumentException">The tensor has another number of axes.</exception>
    public static GenericChart HeadGrid(Tensor values, string title, string valueName)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(valueName);
        var rows = Rows(values);
        var (layers, heads, name) = (rows.Length, rows.Max(row => row.Length), PlotlyText.Escape(valueName));
        var finite = rows.SelectMany(row => row).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var (low, high, colors) = ChartStyle.ScaleOf(finite);
        return Chart(
            [Cells(rows, low, high, colors, new { colorbar = ColorBar(name), hovertemplate = $"head %{{y}}.%{{x}}<br>{name} %{{z:.4g}}<extra></extra>" })],
            Figure(PlotlyText.Escape(title), Math.Clamp(heads * 34.0, 280, 720) + 170, Math.Clamp(layers * 24.0, 190, 780) + 130, new { xaxis = Indices("head", heads), yaxis = Indices("layer", layers, reversed: true) }),
            $"{title}: {valueName} of {layers} × {heads} heads, from {PlotlyText.Number(finite.Min())} to {PlotlyText.Number(finite.Max())}.",
            CellRows(layers));
    }

    /// <summary>The numbers of a table, [row, column], in fp64.</summary>
    private static double[][] Rows(Tensor values)
    {
        Fault.ArgumentIf(values.dim() != 2, $"The numbers have the shape [{string.Join(", ", values.shape)}]; expected [row, column].");
        return values.shape[1] == 0 ? [] : [.. values.Copied<double>().Chunk((int)values.shape[1])];
    }
}
