using System.Diagnostics;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope;

/// <summary>
/// An installed Chromium, Chrome or Edge, run without a window and spoken to over its DevTools protocol: what turns figures into
/// SVG, PDF and PNG. It has a profile of its own, which is deleted with it.
/// </summary>
public sealed class HeadlessBrowser : IAsyncDisposable
{
    /// <summary>The environment variable that names the browser to use.</summary>
    public const string Variable = "HEADSCOPE_BROWSER";

    private static readonly string[] Names =
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "microsoft-edge-stable", "msedge"];

    private readonly Process process;
    private readonly string profile;
    private readonly ClientWebSocket socket = new();
    private string? session;
    private int lastId;

    private HeadlessBrowser(Process process, string profile)
    {
        this.process = process;
        this.profile = profile;
    }

    /// <summary>Finds a browser: the one that <c>HEADSCOPE_BROWSER</c> names, else Chromium, Chrome or Edge where they are usually installed.</summary>
    /// <returns>The path of the program; null when there is none.</returns>
    /// <exception cref="FileNotFoundException"><c>HEADSCOPE_BROWSER</c> names a program that does not exist.</exception>
    public static string? Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return InPath(named) ?? throw new FileNotFoundException($"{Variable} names '{named}', which is neither a file nor a program in PATH.", named);
        }

        return Names.Select(InPath).Concat(UsualPlaces().Where(File.Exists)).FirstOrDefault(path => path is not null);
    }

    /// <summary>Starts the browser with an empty page.</summary>
    /// <param name="cancellationToken">Stops the start.</param>
    /// <returns>The browser; dispose of it to end it.</returns>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">The browser did not start.</exception>
    public static async Task<HeadlessBrowser> StartAsync(CancellationToken cancellationToken = default)
    {
        var program = Find() ?? throw new FileNotFoundException(
            $"SVG, PDF and PNG are drawn by Chromium, Chrome or Edge, and none was found. Install one or name it in {Variable}; .html and .json need none.");
        var folder = Directory.CreateTempSubdirectory("headscope-browser-").FullName;
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var argument in Arguments(folder))
        {
            start.ArgumentList.Add(argument);
        }

        var browser = new HeadlessBrowser(Process.Start(start)!, folder);
        try
        {
            await browser.ConnectAsync(program, cancellationToken);
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens a local file and waits until it is loaded.</summary>
    /// <param name="path">The file.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <returns>When it is loaded.</returns>
    public async Task OpenAsync(string path, CancellationToken cancellationToken = default)
    {
        await SendAsync("Page.navigate", new JsonObject { ["url"] = new Uri(Path.GetFullPath(path)).AbsoluteUri }, cancellationToken);
        await EvaluateAsync(
            "new Promise(r => document.readyState === 'complete' && location.protocol === 'file:' ? r() : window.addEventListener('load', () => r()))", cancellationToken);
    }

    /// <summary>Runs JavaScript in the page.</summary>
    /// <param name="expression">The expression; when it is a promise, it is awaited.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <returns>Its value, as JSON; null for undefined.</returns>
    /// <exception cref="InvalidOperationException">The script threw; the message is the script's.</exception>
    public async Task<JsonNode?> EvaluateAsync(string expression, CancellationToken cancellationToken = default)
    {
        var answer = await SendAsync(
            "Runtime.evaluate", new JsonObject { ["expression"] = expression, ["awaitPromise"] = true, ["returnByValue"] = true }, cancellationToken);
        return answer["exceptionDetails"] is { } details
            ? throw new InvalidOperationException($"The page threw: {details["exception"]?["description"] ?? details["text"]}")
            : answer["result"]?["value"]?.DeepClone();
    }

    /// <summary>The PostScript name of the installed font in which the browser drew an element's text.</summary>
    /// <param name="selector">The CSS selector of the element.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <returns>The name of the font that drew most letters; null when there are none.</returns>
    internal async Task<string?> FontOfAsync(string selector, CancellationToken cancellationToken)
    {
        await SendAsync("DOM.enable", [], cancellationToken);
        await SendAsync("CSS.enable", [], cancellationToken);
        var document = await SendAsync("DOM.getDocument", [], cancellationToken);
        var node = await SendAsync(
            "DOM.querySelector", new JsonObject { ["nodeId"] = document["root"]!["nodeId"]!.GetValue<int>(), ["selector"] = selector }, cancellationToken);
        var answer = await SendAsync("CSS.getPlatformFontsForNode", new JsonObject { ["nodeId"] = node["nodeId"]!.GetValue<int>() }, cancellationToken);
        return answer["fonts"]!.AsArray().MaxBy(font => font!["glyphCount"]!.GetValue<double>())?["postScriptName"]?.GetValue<string>();
    }

    /// <summary>The page as a PDF of one sheet, of the size that the page's <c>@page</c> rule gives.</summary>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <returns>The file.</returns>
    public async Task<byte[]> PdfAsync(CancellationToken cancellationToken = default)
    {
        // Chromium rounds sizes given to the command up to whole pixels, those of the page only to 1/300 inch.
        var answer = await SendAsync(
            "Page.printToPDF",
            new JsonObject { ["preferCSSPageSize"] = true, ["printBackground"] = true, ["pageRanges"] = "1" },
            cancellationToken);
        return Convert.FromBase64String(answer["data"]!.GetValue<string>());
    }

    /// <summary>A picture of the page's upper left.</summary>
    /// <param name="width">The width in pixels of the page.</param>
    /// <param name="height">The height in pixels of the page.</param>
    /// <param name="scale">Pixels of the picture for each pixel of the page.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <returns>The file, a PNG.</returns>
    public async Task<byte[]> PngAsync(int width, int height, double scale = 1, CancellationToken cancellationToken = default)
    {
        await SendAsync(
            "Emulation.setDeviceMetricsOverride",
            new JsonObject { ["width"] = width, ["height"] = height, ["deviceScaleFactor"] = scale, ["mobile"] = false },
            cancellationToken);
        var answer = await SendAsync("Page.captureScreenshot", new JsonObject { ["format"] = "png" }, cancellationToken);
        return Convert.FromBase64String(answer["data"]!.GetValue<string>());
    }

    /// <summary>Ends the browser and deletes its profile.</summary>
    /// <returns>When it has ended.</returns>
    public async ValueTask DisposeAsync()
    {
        socket.Dispose();
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
        }

        await process.WaitForExitAsync();
        process.Dispose();
        for (var attempt = 0; Directory.Exists(profile) && attempt < 20; attempt++)
        {
            try
            {
                Directory.Delete(profile, recursive: true);
            }
            catch (IOException)
            {
                // Helpers of the browser end a moment after it and may still write.
                await Task.Delay(50);
            }
        }
    }

    private static IEnumerable<string> Arguments(string profile)
    {
        string[] always =
        [
            "--headless", "--remote-debugging-port=0", $"--user-data-dir={profile}", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
            "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--mute-audio",
            "--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none", "--allow-file-access-from-files",
        ];

        // Chromium's sandbox refuses to run as root, as programs do in containers. Only figures made here are opened.
        return OperatingSystem.IsLinux() && Environment.UserName == "root" ? [.. always, "--no-sandbox", "about:blank"] : [.. always, "about:blank"];
    }

    private static IEnumerable<string> UsualPlaces()
    {
        if (OperatingSystem.IsMacOS())
        {
            return
            [
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
                "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
            ];
        }

        return OperatingSystem.IsWindows()
            ? from folder in new[] { Environment.SpecialFolder.ProgramFiles, Environment.SpecialFolder.ProgramFilesX86, Environment.SpecialFolder.LocalApplicationData }
              from program in new[] { @"Google\Chrome\Application\chrome.exe", @"Microsoft\Edge\Application\msedge.exe", @"Chromium\Application\chrome.exe" }
              select Path.Combine(Environment.GetFolderPath(folder), program)
            : [];
    }

    private static string? InPath(string name)
    {
        if (Path.GetFileName(name) != name)
        {
            return File.Exists(name) ? Path.GetFullPath(name) : null;
        }

        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .SelectMany(folder => OperatingSystem.IsWindows() ? new[] { Path.Combine(folder, $"{name}.exe"), Path.Combine(folder, name) } : [Path.Combine(folder, name)])
            .FirstOrDefault(File.Exists);
    }

    private async Task ConnectAsync(string program, CancellationToken cancellationToken)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limited.CancelAfter(TimeSpan.FromSeconds(60));
        const string Announced = "DevTools listening on ";
        var said = new List<string>();
        try
        {
            while (await process.StandardError.ReadLineAsync(limited.Token) is { } line)
            {
                said.Add(line);
                if (line.StartsWith(Announced, StringComparison.Ordinal))
                {
                    // Read on, or the browser would stop when the pipe is full.
                    _ = process.StandardError.ReadToEndAsync(CancellationToken.None);
                    _ = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
                    await socket.ConnectAsync(new Uri(line[Announced.Length..]), limited.Token);
                    var target = await SendAsync("Target.createTarget", new JsonObject { ["url"] = "about:blank" }, limited.Token);
                    var attached = await SendAsync(
                        "Target.attachToTarget", new JsonObject { ["targetId"] = target["targetId"]!.GetValue<string>(), ["flatten"] = true }, limited.Token);
                    session = attached["sessionId"]!.GetValue<string>();
                    await SendAsync("Page.enable", [], limited.Token);
                    return;
                }
            }
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"{program} did not answer within a minute. It said: {string.Join(' ', said)}", exception);
        }

        throw new IOException($"{program} ended at once. It said: {string.Join(' ', said)}");
    }

    /// <summary>Sends one command and waits for its answer; events in between are not needed and passed over.</summary>
    private async Task<JsonObject> SendAsync(string method, JsonObject parameters, CancellationToken cancellationToken)
    {
        var id = ++lastId;
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters };
        if (session is not null)
        {
            message["sessionId"] = session;
        }

        await socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message), WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        while (true)
        {
            using var received = new MemoryStream();
            var buffer = new byte[1 << 16];
            ValueWebSocketReceiveResult part;
            do
            {
                part = await socket.ReceiveAsync(buffer.AsMemory(), cancellationToken);
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    throw new IOException("The browser closed the connection.");
                }

                received.Write(buffer, 0, part.Count);
            }
            while (!part.EndOfMessage);

            received.Position = 0;
            if (JsonNode.Parse(received) is JsonObject answer && answer["id"]?.GetValue<int>() == id)
            {
                return answer["error"] is { } error
                    ? throw new IOException($"The browser refused {method}: {error["message"]}")
                    : answer["result"]!.AsObject();
            }
        }
    }
}
