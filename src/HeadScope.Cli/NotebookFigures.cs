using System.Text.Json;
using HeadScope.Notebooks.Session;

namespace HeadScope.Cli;

/// <summary>What the command line brings to notebooks: how results are shown, and pictures of charts.</summary>
internal static class NotebookFigures
{
    // In CSS pixels: the 175 mm of a paper's page, which fit the column of a notebook, on a screen and on a code-hosting site.
    private const double PerMillimetre = 96 / 25.4, Width = 175 * PerMillimetre;

    /// <summary>HeadScope.Interactive, for sessions.</summary>
    public static SessionExtension Extension { get; } = new(typeof(HeadScopeFormatters).Assembly, HeadScopeFormatters.Register);

    /// <summary>What a page needs whose body shows charts: plotly.js, once for all of them.</summary>
    /// <param name="body">The body.</param>
    public static string Head(string body) => body.Contains(ChartOutput.Mark, StringComparison.Ordinal) ? ChartOutput.Carrier : "";

    /// <summary>Draws a chart as SVG.</summary>
    /// <param name="json">The chart in plotly.js's JSON.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="IOException">The browser does not start, or cannot draw it.</exception>
    public static async Task<string> DrawAsync(string json, CancellationToken cancellationToken)
    {
        var drawn = await PaperBrowser.WithPageAsync(
            page => page.EvaluateFunctionAsync<JsonElement>(
                "async (json, w, mm) => headscopePaper(json, w, 0, mm).catch(error => ({ error: error.message }))", json, Width, PerMillimetre),
            cancellationToken);
        return drawn.TryGetProperty("error", out var error)
            ? throw new IOException($"A chart could not be drawn: {error.GetString()}")
            : drawn.GetProperty("svg").GetString()!;
    }
}
