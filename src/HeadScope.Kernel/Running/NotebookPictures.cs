using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Running;

/// <summary>
/// Pictures of the charts in a notebook's outputs, which show them where no script runs: on a code-hosting site, and in a viewer without plotly.js.
/// </summary>
internal static class NotebookPictures
{
    /// <summary>The mime type of charts.</summary>
    public const string Chart = "application/vnd.plotly.v1+json";

    /// <summary>The mime type of their pictures.</summary>
    public const string Svg = "image/svg+xml";

    /// <summary>Draws every chart once and puts its picture beside it.</summary>
    /// <param name="notebook">The notebook.</param>
    /// <param name="draw">Makes an SVG of plotly.js's JSON.</param>
    /// <param name="progress">Told which chart is being drawn.</param>
    /// <param name="cancellationToken">Stops the drawing.</param>
    public static async Task DrawAsync(
        NotebookFile notebook, Func<string, CancellationToken, Task<string>> draw, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var charts = ChartsOf(notebook.Cells).GroupBy(data => data[Chart]!.ToJsonString(), StringComparer.Ordinal).ToList();
        for (var i = 0; i < charts.Count; i++)
        {
            progress?.Report(new WorkProgress("pictures", i, charts.Count, "charts"));
            var picture = await draw(charts[i].Key, cancellationToken);
            foreach (var data in charts[i])
            {
                data[Svg] = NotebookFile.Lines(picture);
            }
        }

        progress?.Report(new WorkProgress("pictures", charts.Count, charts.Count, "charts"));
    }

    /// <summary>The outputs that are charts, in all their forms.</summary>
    /// <param name="cells">The cells of a notebook.</param>
    public static IReadOnlyList<JsonObject> ChartsOf(JsonArray cells) =>
        [.. cells.OfType<JsonObject>().SelectMany(cell => (cell["outputs"] as JsonArray ?? []).OfType<JsonObject>())
            .Select(output => output["data"]).OfType<JsonObject>().Where(data => data.ContainsKey(Chart))];
}
