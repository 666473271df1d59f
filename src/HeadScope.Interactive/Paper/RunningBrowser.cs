using PuppeteerSharp;

namespace HeadScope;

/// <summary>A browser that was started for charts, with its profile in a folder of its own and one page that is used again and again.</summary>
internal sealed class RunningBrowser : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);

    private readonly IBrowser browser;
    private readonly string folder;
    private IPage? page;

    private RunningBrowser(string program, IBrowser browser, string folder) => (Program, this.browser, this.folder) = (program, browser, folder);

    /// <summary>The program that runs.</summary>
    public string Program { get; }

    /// <summary>Whether it still answers.</summary>
    public bool IsConnected => browser.IsConnected;

    /// <summary>Starts a browser without a window.</summary>
    /// <param name="program">Its path.</param>
    /// <exception cref="IOException">It does not start.</exception>
    public static async Task<RunningBrowser> StartAsync(string program)
    {
        var place = Directory.CreateTempSubdirectory("headscope-browser-").FullName;
        try
        {
            var started = await Puppeteer.LaunchAsync(new LaunchOptions
            {
                ExecutablePath = program,
                UserDataDir = Path.Combine(place, "profile"),
                Timeout = 20_000,
                Args =
                [
                    "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
                    .. OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess ? (string[])["--no-sandbox"] : [],
                ],
            });
            return new RunningBrowser(program, started, place);
        }
        catch (Exception exception)
        {
            Delete(place);
            throw new IOException($"The browser {program} does not start: {exception.Message}", exception);
        }
    }

    /// <summary>The page, empty; fonts may be read there.</summary>
    public async Task<IPage> PageAsync()
    {
        if (page is { IsClosed: false })
        {
            return page;
        }

        // A file is a safe place to the browser, which gives fonts to no other.
        var file = Path.Combine(folder, "page.html");
        await File.WriteAllTextAsync(file, "<!doctype html><meta charset=\"utf-8\"><body style=\"margin:0\"></body>");
        var fresh = await browser.NewPageAsync();
        await fresh.GoToAsync(new Uri(file).AbsoluteUri);
        foreach (var script in new[] { ChartOutput.PlotlyScript, string.Concat(new[] { "labels.js", "drawing.js", "paper.js" }.Select(ChartOutput.Script)) })
        {
            await fresh.AddScriptTagAsync(new AddTagOptions { Content = script });
        }

        return page = fresh;
    }

    /// <summary>The next user gets another page.</summary>
    public async Task ForgetPageAsync()
    {
        var old = page;
        page = null;
        try
        {
            await (old?.CloseAsync() ?? Task.CompletedTask).WaitAsync(Patience);
        }
        catch (Exception exception) when (exception is PuppeteerException or TimeoutException)
        {
            // It is gone already, or goes with the browser.
        }
    }

    /// <summary>Ends the browser and its children; its folder goes with it.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await browser.CloseAsync().WaitAsync(Patience);
            await (browser.Process?.WaitForExitAsync() ?? Task.CompletedTask).WaitAsync(Patience);
        }
        catch (Exception exception) when (exception is PuppeteerException or TimeoutException or InvalidOperationException)
        {
            try
            {
                browser.Process?.Kill(entireProcessTree: true);
            }
            catch (InvalidOperationException)
            {
                // It has ended.
            }
        }

        Delete(folder);
    }

    private static void Delete(string folder)
    {
        for (var tries = 0; ; tries++)
        {
            try
            {
                Directory.Delete(folder, recursive: true);
                return;
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // Its last processes may still write.
                if (tries == 20)
                {
                    return;
                }

                Thread.Sleep(50);
            }
        }
    }
}
