using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace HeadScope;

/// <summary>Writes figures to files for papers and pages.</summary>
public static class FigureExport
{
    /// <summary>
    /// Saves a figure; the ending of the name says how: <c>.svg</c>, <c>.pdf</c> and <c>.png</c> as plotly.js draws it in an installed browser
    /// without a window, with text as text, cells as rectangles and fonts embedded; <c>.html</c> as a page, <c>.json</c> as Plotly's JSON.
    /// </summary>
    /// <param name="figure">The figure.</param>
    /// <param name="path">The file; it is written whole or not at all.</param>
    /// <param name="width">The width; the figure's own when null.</param>
    /// <param name="height">The height; the figure's own when null.</param>
    /// <param name="scale">For <c>.png</c>: dots for each pixel; 3.125 gives 300 dots an inch.</param>
    /// <param name="unit">What <paramref name="width"/> and <paramref name="height"/> are in.</param>
    /// <param name="offline">For <c>.html</c>: puts plotly.js into the page, 5 MB, so that it needs no network.</param>
    /// <exception cref="ArgumentException">The ending is none of these, or a number is not positive.</exception>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">plotly.js could not be fetched, or the file could not be written.</exception>
    public static void Save(
        this Figure figure, string path, double? width = null, double? height = null, double scale = 1, LengthUnit unit = LengthUnit.Pixels, bool offline = false) =>
        Task.Run(() => figure.SaveAsync(path, width, height, scale, unit, offline)).GetAwaiter().GetResult();

    /// <summary><see cref="Save"/> for callers that await or may stop it.</summary>
    /// <param name="figure">The figure.</param>
    /// <param name="path">The file.</param>
    /// <param name="width">The width; the figure's own when null.</param>
    /// <param name="height">The height; the figure's own when null.</param>
    /// <param name="scale">For <c>.png</c>: dots for each pixel.</param>
    /// <param name="unit">What <paramref name="width"/> and <paramref name="height"/> are in.</param>
    /// <param name="offline">For <c>.html</c>: puts plotly.js into the page.</param>
    /// <param name="cancellationToken">Stops it; the file is then as it was.</param>
    /// <returns>When the file is written.</returns>
    /// <exception cref="ArgumentException">The ending is none of these, or a number is not positive.</exception>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">plotly.js could not be fetched, or the file could not be written.</exception>
    public static async Task SaveAsync(
        this Figure figure, string path, double? width = null, double? height = null, double scale = 1, LengthUnit unit = LengthUnit.Pixels, bool offline = false,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(figure);
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!(width ?? 1).IsPositive() || !(height ?? 1).IsPositive() || !scale.IsPositive())
        {
            throw new ArgumentException("Width, height and scale of a figure are positive numbers.");
        }

        var pixels = unit == LengthUnit.Millimetres ? FigureStyle.PixelsPerMillimetre : 1;
        var styled = figure.Styled();
        var sized = figure with
        {
            Layout = figure.Layout with
            {
                Width = width * pixels ?? styled.Layout.Width,
                Height = height * pixels ?? styled.Layout.Height,
            },
            Style = figure.Style with { Width = null },
        };
        switch (Path.GetExtension(path).ToLowerInvariant())
        {
            case ".json":
                AtomicFile.WriteText(path, sized.ToJson());
                break;
            case ".html":
                var plotly = offline ? await PlotlyScript.FetchAsync(cancellationToken: cancellationToken) : null;
                AtomicFile.WriteText(path, HtmlPage.Of(PlainTitle(figure), [sized], plotly));
                break;
            case ".svg" or ".pdf" or ".png":
                var bytes = await DrawAsync(sized, Path.GetExtension(path).ToLowerInvariant(), scale, unit, cancellationToken);
                AtomicFile.Write(path, stream => stream.Write(bytes));
                break;
            default:
                throw new ArgumentException($"A figure can be saved as .svg, .pdf, .png, .html or .json; '{path}' ends otherwise.", nameof(path));
        }
    }

    private static bool IsPositive(this double value) => double.IsFinite(value) && value > 0;

    private static string PlainTitle(Figure figure) =>
        figure.Layout.Title is { } title ? Notebooks.Plotly.PlotlyText.Plain(title.Text).ReplaceLineEndings(" ") : "HeadScope";

    private static async Task<byte[]> DrawAsync(Figure figure, string kind, double scale, LengthUnit unit, CancellationToken cancellationToken)
    {
        // Paper shows one view, the first, and says which it is.
        var still = figure with
        {
            Layout = figure.Layout with
            {
                Title = figure is { Choices: [var first, ..], Layout.Title: { } title }
                    ? title with { Text = $"{title.Text}: {Notebooks.Plotly.PlotlyText.Escape(first.Label)}" }
                    : figure.Layout.Title,
                ShowLegend = figure.Choices.Count > 0 ? false : figure.Layout.ShowLegend,
                Width = figure.Layout.Width ?? Figure.DefaultWidth,
                Height = figure.Layout.Height ?? Figure.DefaultHeight,
            },
        };
        var (width, height) = (still.Layout.Width.Value, still.Layout.Height.Value);
        if (HeadlessBrowser.Find() is null)
        {
            // Said before plotly.js is fetched for nothing.
            await using var none = await HeadlessBrowser.StartAsync(cancellationToken);
        }

        var plotly = await PlotlyScript.FetchAsync(cancellationToken: cancellationToken);
        var folder = Directory.CreateTempSubdirectory("headscope-figure-").FullName;
        try
        {
            var page = Path.Combine(folder, "figure.html");
            await File.WriteAllTextAsync(
                page,
                $"<!doctype html><meta charset=\"utf-8\"><script src=\"{new Uri(plotly).AbsoluteUri}\"></script><div id=\"figure\"></div>"
                + $"<script id=\"data\" type=\"application/json\">{still.ToJson()}</script>",
                cancellationToken);
            await using var browser = await HeadlessBrowser.StartAsync(cancellationToken);
            await browser.OpenAsync(page, cancellationToken);
            var address = await browser.EvaluateAsync(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $$"""
                    (async () => {
                      const figure = JSON.parse(document.getElementById('data').textContent);
                      const drawn = await Plotly.newPlot('figure', figure.data, figure.layout, { staticPlot: true });
                      return Plotly.toImage(drawn, { format: 'svg', width: {{width}}, height: {{height}} });
                    })()
                    """),
                cancellationToken);
            var svg = PaperSvg.From(Uri.UnescapeDataString(SvgOf(address)), still, width, height, unit);
            await File.WriteAllTextAsync(
                page,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"<!doctype html><meta charset=\"utf-8\"><style>@page {{ size: {width}px {height}px; margin: 0 }} body {{ margin: 0 }} svg {{ display: block }}</style>{svg}"),
                cancellationToken);
            await browser.OpenAsync(page, cancellationToken);
            return kind switch
            {
                ".svg" => Encoding.UTF8.GetBytes(svg),
                ".pdf" => await browser.PdfAsync(cancellationToken),
                _ => await browser.PngAsync((int)Math.Ceiling(width), (int)Math.Ceiling(height), scale, cancellationToken),
            };
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string SvgOf(JsonNode? address)
    {
        const string Before = "data:image/svg+xml,";
        var text = address?.GetValue<string>() ?? "";
        return text.StartsWith(Before, StringComparison.Ordinal)
            ? text[Before.Length..]
            : throw new IOException("plotly.js did not return a drawing; is the file that it was taken from a whole plotly.min.js?");
    }
}
