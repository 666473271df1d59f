using Plotly.NET;
using Plotly.NET.LayoutObjects;
using Plotly.NET.TraceObjects;
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
        var (layers, heads) = (rows.Length, rows.Max(row => row.Length));
        var finite = rows.SelectMany(row => row).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var (low, end) = (finite.Min(), Math.Max(finite.Max(Math.Abs), 1e-9));
        return Chart(
            [
                HeatMap(new
                {
                    z = rows.Select(row => row.Select(Finite).ToArray()).ToArray(), zmin = low < 0 ? -end : 0, zmax = end,
                    colorscale = low < 0 ? ChartStyle.Diverging : ChartStyle.Sequential, colorbar = new ColorBar().With(new { title = Title(PlotlyText.Escape(valueName)).With(new { side = "right" }) }),
                    hovertemplate = $"head %{{y}}.%{{x}}<br>{PlotlyText.Escape(valueName)} %{{z:.4g}}<extra></extra>", hoverongaps = false, xgap = heads > 40 ? 0 : 1, ygap = layers > 40 ? 0 : 1,
                }),
            ],
            new Layout().With(new
            {
                title = Title(PlotlyText.Escape(title)), width = (int)Math.Clamp(heads * 34.0, 280, 720) + 170, height = (int)Math.Clamp(layers * 24.0, 190, 780) + 130,
                xaxis = Indices("head", heads), yaxis = Indices("layer", layers, reversed: true),
            }),
            $"{title}: {valueName} of {layers} × {heads} heads, from {PlotlyText.Number(low)} to {PlotlyText.Number(finite.Max())}.",
            CellRows(layers));
    }

    /// <summary>Rows of cells on paper: as high as a line of text, lower where there are many.</summary>
    private static PaperLayout CellRows(int rows) => new(Math.Max(1, rows), Math.Clamp(110.0 / rows, 1.2, 5));

    /// <summary>The numbers of a table, [row, column], in fp64.</summary>
    private static double[][] Rows(Tensor values)
    {
        Fault.ArgumentIf(values.dim() != 2, $"The numbers have the shape [{string.Join(", ", values.shape)}]; expected [row, column].");
        var flat = values.Copied<double>();
        return flat.Length == 0 ? [] : [.. flat.Chunk((int)values.shape[1])];
    }
}
