using Newtonsoft.Json.Linq;
using Plotly.NET;

namespace HeadScope;

/// <summary>What a chart of tokens tells about them, so that its lines can be broken anew for the width of a paper.</summary>
/// <param name="Indent">How many letters stay free at the beginning of a line.</param>
/// <param name="Widths">How many letters wide each piece of the text is.</param>
/// <param name="Starts">How each begins.</param>
internal sealed record PaperText(int Indent, int[] Widths, TokenLines.Start[] Starts)
{
    // In millimetres: a letter of the 6.5 points that charts of tokens have on paper, and both margins.
    private const double Letter = 1.395, Margins = 2.2;

    // The height of a line.
    private const double Line = 3.75;

    /// <summary>The JSON of a chart for a width, and the height that it needs; a chart without tokens is as on a screen.</summary>
    /// <param name="chart">The chart; it stays as it is.</param>
    /// <param name="widthMm">The width of the paper, in millimetres.</param>
    /// <returns>The JSON, and the height in millimetres where it follows from the lines.</returns>
    public static (string Json, double? HeightMm) Of(GenericChart chart, double widthMm)
    {
        var json = ChartOutput.Json(chart);
        var meta = GenericChart.getLayout(chart).TryGetPropertyValue("meta") is { Value: { } found } ? found : null;
        if (meta?.GetType().GetProperty("paper")?.GetValue(meta) is not PaperLayout { Text: { } text })
        {
            return (json, null);
        }

        var figure = JObject.Parse(json);
        (JToken Trace, int[] Of)[] traces = [.. figure["data"]!.Where(trace => trace["customdata"] is JArray { Count: > 0 }).Select(trace => (trace, trace["customdata"]!.Select(piece => (int)piece).ToArray()))];
        if (traces.Count(trace => trace.Of.Length == text.Widths.Length && (string?)trace.Trace["type"] == "bar") != 1)
        {
            // Several charts in one.
            return (json, null);
        }

        var columns = Math.Max((int)((widthMm - Margins) / Letter), text.Indent + 4);
        var (places, lines) = TokenLines.Set(text.Widths, text.Starts, columns, text.Indent);
        var layout = figure["layout"]!;

        // Letters, labels and boxes say which piece they belong to.
        foreach (var (trace, of) in traces)
        {
            trace["y"] = new JArray(of.Select(piece => places[piece].Line + 0.5));
            if ((string?)trace["type"] == "bar")
            {
                trace["base"] = new JArray(of.Select(piece => places[piece].Column + 0.05));
            }
            else if ((string?)trace["textposition"] == "middle center")
            {
                trace["x"] = new JArray(of.Select(piece => places[piece].Column + (text.Widths[piece] / 2.0)));
            }
        }

        layout["xaxis"]!["range"] = new JArray(0, columns);
        var top = (double)layout["yaxis"]!["range"]![1]!;
        layout["yaxis"]!["range"] = new JArray(lines, top);
        return (figure.ToString(Newtonsoft.Json.Formatting.None), ((lines - top) * Line) + Margins);
    }
}
