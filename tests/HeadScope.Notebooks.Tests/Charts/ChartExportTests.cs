using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Plotly.NET;
using PuppeteerSharp;
using static TorchSharp.torch;

namespace HeadScope.Notebooks.Tests;

[Collection(ChartBrowser.Collection)]
public sealed class ChartExportTests(ChartBrowser browser) : IDisposable
{
    private const string Told = "HEADSCOPE_TEST_TOLD";

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(PaperBrowser.Variable, null);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData(84, 60.0)]
    [InlineData(175, null)]
    [InlineData(33.3, 44.4)]
    public async Task A_pdf_is_one_sheet_of_the_size_with_fonts_and_text(double widthMm, double? heightMm)
    {
        ChartBrowser.Require();
        await Map().SavePaperAsync(In("map.pdf"), widthMm, heightMm, cancellationToken: TestContext.Current.CancellationToken);
        var pdf = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(In("map.pdf"), TestContext.Current.CancellationToken));
        Assert.StartsWith("%PDF-", pdf, StringComparison.Ordinal);
        Assert.Contains("/Count 1", pdf, StringComparison.Ordinal);
        Assert.Contains("/FontFile", pdf, StringComparison.Ordinal);
        Assert.DoesNotContain("/Subtype /Image", pdf, StringComparison.Ordinal);
        var box = Regex.Match(pdf, @"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]");
        Assert.Equal(widthMm / 25.4 * 72, double.Parse(box.Groups[1].Value), 0.5);
        if (heightMm is { } height)
        {
            Assert.Equal(height / 25.4 * 72, double.Parse(box.Groups[2].Value), 0.5);
        }
    }

    [Theory]
    [InlineData(84, 60, 300, 992, 709)]
    [InlineData(50, 50, 96, 189, 189)]
    [InlineData(84, 60, 1200, 3969, 2835)]
    public async Task A_png_has_the_pixels_of_its_size_and_says_how_dense_they_are(double widthMm, double heightMm, double dpi, int across, int down)
    {
        ChartBrowser.Require();
        await Map().SavePaperAsync(In("map.png"), widthMm, heightMm, dpi, TestContext.Current.CancellationToken);
        var png = await File.ReadAllBytesAsync(In("map.png"), TestContext.Current.CancellationToken);
        Assert.Equal((across, down), (BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20))));
        Assert.Equal("pHYs", Encoding.ASCII.GetString(png, 37, 4));
        Assert.Equal(dpi / 0.0254, BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(41)), 1.0);
        var size = await browser.Page.EvaluateFunctionAsync<int[]>(
            "async data => { const image = new Image(); image.src = 'data:image/png;base64,' + data; await image.decode(); return [image.naturalWidth, image.naturalHeight]; }", Convert.ToBase64String(png));
        Assert.Equal([across, down], size);
    }

    [Fact]
    public async Task An_svg_has_text_a_title_and_the_fonts_that_it_was_drawn_with()
    {
        var svg = await browser.PaperAsync(Map(), 84, 60);
        var root = XElement.Parse(svg);
        Assert.Equal(("84mm", "60mm"), ((string?)root.Attribute("width"), (string?)root.Attribute("height")));
        Assert.StartsWith("A <title>: effect of 3 × 4 heads", root.Elements().Single(e => e.Name.LocalName == "title").Value, StringComparison.Ordinal);
        Assert.Contains(root.Descendants(), e => e.Name.LocalName == "text" && e.Value == "layer");
        var style = root.Elements().First(e => e.Name.LocalName == "style").Value;

        // Under a name that no installed font has, the browser takes the embedded one, and it draws letters as wide as the original.
        var widths = await browser.Page.EvaluateFunctionAsync<double[]>(
            """
            async (rules, families) => {
              const style = document.head.appendChild(document.createElement('style'));
              style.textContent = rules;
              await document.fonts.load('40px "only embedded"', 'A map');
              const pen = document.createElement('canvas').getContext('2d');
              const widths = ['"only embedded", monospace', families, 'monospace'].map(family => { pen.font = '40px ' + family; return pen.measureText('A map').width; });
              style.remove();
              return widths;
            }
            """,
            Regex.Replace(style, "font-family:[^;]*;", "font-family:'only embedded';"),
            ChartStyle.SansSerif);
        Assert.Equal(widths[1], widths[0], 0.01);
        Assert.NotEqual(widths[2], widths[0], 0.01);
    }

    [Fact]
    public async Task Json_and_html_need_no_browser()
    {
        Environment.SetEnvironmentVariable(PaperBrowser.Variable, "/nowhere/browser");
        await Map().SavePaperAsync(In("map.json"), 84, cancellationToken: TestContext.Current.CancellationToken);
        await Map().SavePaperAsync(In("map.html"), 84, cancellationToken: TestContext.Current.CancellationToken);
        using var json = JsonDocument.Parse(await File.ReadAllTextAsync(In("map.json"), TestContext.Current.CancellationToken));
        Assert.Equal("heatmap", json.RootElement.GetProperty("data")[0].GetProperty("type").GetString());
    }

    [Theory]
    [InlineData("map.gif", 84.0, 300.0)]
    [InlineData("map", 84.0, 300.0)]
    [InlineData("map.svg", 0.0, 300.0)]
    [InlineData("map.svg", double.NaN, 300.0)]
    [InlineData("map.png", 84.0, -1.0)]
    [InlineData("map.png", 84.0, 1e6)]
    public void Other_endings_and_sizes_are_refused(string name, double widthMm, double dpi)
    {
        ChartBrowser.Require();
        Assert.Throws<ArgumentException>(() => Map().SavePaper(In(name), widthMm, dpi: dpi));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }

    [Fact]
    public async Task Several_threads_share_one_browser()
    {
        ChartBrowser.Require();
        await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Task.Run(() => Map().SavePaper(In($"{i}.{(i % 2 == 0 ? "png" : "svg")}"), 60 + i, 50))));
        Assert.Equal(6, Directory.GetFiles(folder).Length);
        foreach (var i in new[] { 1, 3, 5 })
        {
            Assert.Equal($"{60 + i}mm", (string?)XElement.Load(In($"{i}.svg")).Attribute("width"));
        }
    }

    [Fact]
    public async Task A_browser_that_was_killed_is_started_anew()
    {
        ChartBrowser.Require();
        var page = await PaperBrowser.WithPageAsync(Task.FromResult, TestContext.Current.CancellationToken);
        var ended = new TaskCompletionSource();
        page.Browser.Disconnected += (_, _) => ended.TrySetResult();
        await SendAsync(page, "Browser.crash");
        await ended.Task;
        Map().SavePaper(In("map.svg"), 84);
        Assert.NotSame(page, await PaperBrowser.WithPageAsync(Task.FromResult, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("Browser.crash")]
    [InlineData("Page.crash")]
    public async Task What_ends_while_it_draws_is_noticed_and_a_new_browser_draws_the_next(string way)
    {
        ChartBrowser.Require();
        var folders = new HashSet<string>();
        var ended = await Assert.ThrowsAsync<IOException>(() => PaperBrowser.WithPageAsync(
            async page =>
            {
                folders.Add(Path.GetDirectoryName(new Uri(page.Url).LocalPath)!);
                await SendAsync(page, way);
                return await new TaskCompletionSource<int>().Task;
            },
            TestContext.Current.CancellationToken));
        Assert.Contains(PaperBrowser.Require(), ended.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(folders, Directory.Exists);
        Map().SavePaper(In("map.png"), 84);
    }

    [Fact(Timeout = 300_000)]
    public async Task The_browser_of_a_program_that_is_killed_ends_and_its_folder_goes()
    {
        ChartBrowser.Require();
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The browser is bound to its program by a shell.");
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["-explicit", "only", "-method", $"{typeof(ChartExportTests).FullName}.{nameof(Waits_to_be_killed)}"])
        {
            Environment = { [Told] = In("place") },
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using var program = Process.Start(start)!;
        while (!File.Exists(In("place")))
        {
            Assert.False(program.HasExited, "The other program ended before it was killed.");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        program.Kill();
        var place = await File.ReadAllTextAsync(In("place"), TestContext.Current.CancellationToken);
        while (Directory.Exists(place))
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    [Fact(Explicit = true)]
    public async Task Waits_to_be_killed()
    {
        var place = await PaperBrowser.WithPageAsync(page => Task.FromResult(Path.GetDirectoryName(new Uri(page.Url).LocalPath)!), TestContext.Current.CancellationToken);
        AtomicFile.WriteText(Environment.GetEnvironmentVariable(Told)!, place);
        await Task.Delay(Timeout.Infinite, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_stopped_chart_leaves_the_file_and_the_next_chart_well()
    {
        ChartBrowser.Require();
        await File.WriteAllTextAsync(In("map.svg"), "before", TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        var never = PaperBrowser.WithPageAsync(page => page.EvaluateExpressionAsync<int>("new Promise(() => {})"), stop.Token);
        var waits = Map().SavePaperAsync(In("map.svg"), 84, cancellationToken: stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => never);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits);
        Assert.Equal("before", await File.ReadAllTextAsync(In("map.svg"), TestContext.Current.CancellationToken));
        await Map().SavePaperAsync(In("map.svg"), 84, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("svg", XElement.Load(In("map.svg")).Name.LocalName);
    }

    [Theory]
    [InlineData("/nowhere/at/all")]
    [InlineData("no-such-browser")]
    [InlineData("/")]
    [InlineData("a\"b;c $(d) `e`")]
    public void A_variable_that_names_no_program_is_said_before_the_work(string value)
    {
        Environment.SetEnvironmentVariable(PaperBrowser.Variable, value);
        var refused = Assert.Throws<FileNotFoundException>(() => Map().SavePaper(In("map.svg"), 84));
        Assert.Contains(PaperBrowser.Variable, refused.Message, StringComparison.Ordinal);
        Assert.Contains(value, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("#!/bin/sh\nexit 3\n", true)]
    [InlineData("no program", true)]
    [InlineData("not executable", false)]
    public void A_program_that_is_no_browser_is_said_and_leaves_nothing(string content, bool executable)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The programs of this test are scripts.");
        var program = In("browser");
        File.WriteAllText(program, content);
        if (executable && !OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        Environment.SetEnvironmentVariable(PaperBrowser.Variable, program);
        var refused = Assert.Throws<IOException>(() => Map().SavePaper(In("map.svg"), 84));
        Assert.Contains(program, refused.Message, StringComparison.Ordinal);
        Assert.Equal([program], Directory.GetFiles(folder));
    }

    private string In(string name) => Path.Combine(folder, name);

    // Who crashes gives no answer.
    private static async Task SendAsync(IPage page, string command) => await Task.WhenAny(page.Client.SendAsync(command), Task.Delay(1));

    private static GenericChart Map() => Charts.HeadGrid(arange(12, float32).reshape(3, 4), "A <title>", "effect");
}
