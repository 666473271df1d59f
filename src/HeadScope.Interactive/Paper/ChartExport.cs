using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Plotly.NET;
using PuppeteerSharp;
using PuppeteerSharp.Media;

namespace HeadScope;

/// <summary>Saves charts for papers and pages: HeadScope's, and any other of Plotly.NET.</summary>
public static class ChartExport
{
    private const double PerMillimetre = 96 / 25.4;

    /// <summary>
    /// Saves a chart; the ending of the name says how: <c>.svg</c>, <c>.pdf</c> and <c>.png</c> are drawn by plotly.js in an installed Chromium, Chrome or Edge,
    /// laid out anew for the width: text of 6 to 8 points, no title (a paper has captions), nothing overlapping or cut, cells as rectangles, fonts embedded;
    /// <c>.html</c> is a page that works without a network, <c>.json</c> Plotly's JSON.
    /// </summary>
    /// <param name="chart">The chart; it stays as it is.</param>
    /// <param name="path">The file; it is written whole or not at all.</param>
    /// <param name="widthMm">The width in millimetres; a column of a two-column paper has about 84, the page 175.</param>
    /// <param name="heightMm">The height in millimetres; null to have it follow from the chart.</param>
    /// <param name="dpi">For <c>.png</c>: dots an inch, which the file also says.</param>
    /// <exception cref="ArgumentException">The ending is none of these, or a number is not positive.</exception>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">The browser does not start, or the file cannot be written.</exception>
    public static void SavePaper(this GenericChart chart, string path, double widthMm, double? heightMm = null, double dpi = 300) =>
        Task.Run(() => chart.SavePaperAsync(path, widthMm, heightMm, dpi)).GetAwaiter().GetResult();

    /// <summary><see cref="SavePaper"/> for callers that await or may stop it.</summary>
    /// <param name="chart">The chart.</param>
    /// <param name="path">The file.</param>
    /// <param name="widthMm">The width in millimetres.</param>
    /// <param name="heightMm">The height in millimetres; null to have it follow from the chart.</param>
    /// <param name="dpi">For <c>.png</c>: dots an inch.</param>
    /// <param name="cancellationToken">Stops it; the file is then as it was.</param>
    /// <returns>When the file is written.</returns>
    /// <exception cref="ArgumentException">The ending is none of these, or a number is not positive.</exception>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">The browser does not start, or the file cannot be written.</exception>
    public static async Task SavePaperAsync(
        this GenericChart chart, string path, double widthMm, double? heightMm = null, double dpi = 300, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(chart);
        ArgumentException.ThrowIfNullOrEmpty(path);
        foreach (var (name, value) in new[] { (nameof(widthMm), widthMm), (nameof(heightMm), heightMm ?? 1), (nameof(dpi), dpi) })
        {
            Fault.ArgumentIf(!double.IsFinite(value) || value <= 0, $"{name} is {value}; expected a positive number.");
        }

        var ending = Path.GetExtension(path).ToLowerInvariant();
        switch (ending)
        {
            case ".json":
                AtomicFile.WriteText(path, ChartOutput.Json(chart));
                break;
            case ".html":
                AtomicFile.WriteText(path, ChartOutput.Page(Path.GetFileNameWithoutExtension(path), [chart]));
                break;
            case ".svg" or ".pdf" or ".png":
                PaperBrowser.Require();
                AtomicFile.RequireWritable(path);
                var (json, needed) = PaperText.Of(chart, widthMm);
                var bytes = await PaperBrowser.WithPageAsync(page => DrawAsync(page, json, ending, widthMm, heightMm ?? needed, dpi), cancellationToken);
                cancellationToken.ThrowIfCancellationRequested();
                AtomicFile.Write(path, stream => stream.Write(bytes));
                break;
            default:
                throw new ArgumentException($"A chart can be saved as .svg, .pdf, .png, .html or .json; '{path}' ends otherwise.", nameof(path));
        }
    }

    private static async Task<byte[]> DrawAsync(IPage page, string json, string ending, double widthMm, double? heightMm, double dpi)
    {
        var drawn = await page.EvaluateFunctionAsync<JsonElement>(
            "async (json, w, h, mm) => headscopePaper(json, w, h, mm).catch(error => ({ error: error.message }))",
            json,
            widthMm * PerMillimetre,
            heightMm * PerMillimetre ?? 0,
            PerMillimetre);
        if (drawn.TryGetProperty("error", out var error))
        {
            throw new ArgumentException(error.GetString());
        }

        var (svg, height) = (drawn.GetProperty("svg").GetString()!, drawn.GetProperty("height").GetDouble() / PerMillimetre);
        switch (ending)
        {
            case ".pdf":
                await ShowAsync(page, svg, string.Create(CultureInfo.InvariantCulture, $"@page {{ margin: 0; size: {widthMm}mm {height}mm }} svg {{ display: block }}"));
                return await page.PdfDataAsync(new PdfOptions { PreferCSSPageSize = true, PrintBackground = true, PageRanges = "1" });
            case ".png":
                // One pixel of the page for each of the file, so that their number is exact.
                var (across, down) = (Pixels(widthMm, dpi), Pixels(height, dpi));
                await page.SetViewportAsync(new ViewPortOptions { Width = across, Height = down, DeviceScaleFactor = 1 });
                await ShowAsync(page, svg, string.Create(CultureInfo.InvariantCulture, $"svg {{ display: block; width: {across}px; height: {down}px }}"));
                return WithDots(await page.ScreenshotDataAsync(new ScreenshotOptions { Type = ScreenshotType.Png, Clip = new Clip { Width = across, Height = down } }), dpi);
            default:
                return Encoding.UTF8.GetBytes(await EmbeddedFonts.IntoAsync(page, svg));
        }
    }

    private static Task ShowAsync(IPage page, string svg, string style) =>
        page.EvaluateFunctionAsync("(svg, style) => { document.body.innerHTML = `<style>${style}</style>${svg}`; }", svg, style);

    private static int Pixels(double millimetres, double dpi)
    {
        const int Most = 16_000;
        var pixels = (int)Math.Round(Math.Min(millimetres / 25.4 * dpi, int.MaxValue));
        Fault.ArgumentIf(pixels is < 1 or > Most, $"{millimetres:0.#} mm at {dpi} dots an inch are {pixels} pixels; a picture has 1 to {Most}.");
        return pixels;
    }

    // A pHYs chunk behind the header, in dots a metre.
    private static byte[] WithDots(byte[] png, double dpi)
    {
        const int HeaderEnd = 33;
        var chunk = new byte[21];
        BinaryPrimitives.WriteInt32BigEndian(chunk, 9);
        Encoding.ASCII.GetBytes("pHYs", chunk.AsSpan(4));
        BinaryPrimitives.WriteInt32BigEndian(chunk.AsSpan(8), (int)Math.Round(dpi / 0.0254));
        BinaryPrimitives.WriteInt32BigEndian(chunk.AsSpan(12), (int)Math.Round(dpi / 0.0254));
        chunk[16] = 1;
        var check = uint.MaxValue;
        foreach (var one in chunk.AsSpan(4, 13))
        {
            check ^= one;
            for (var bit = 0; bit < 8; bit++)
            {
                check = (check >> 1) ^ ((check & 1) * 0xEDB88320);
            }
        }

        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(17), ~check);
        return [.. png.AsSpan(0, HeaderEnd), .. chunk, .. png.AsSpan(HeaderEnd)];
    }
}
