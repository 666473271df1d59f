using System.Diagnostics;
using PuppeteerSharp;
using PuppeteerSharp.Transport;

namespace HeadScope;

/// <summary>A browser that was started for charts, with its profile in a folder of its own and one page that is used again and again.</summary>
internal sealed class RunningBrowser : IAsyncDisposable
{
    // The browser reads what it shall do from 3 and answers to 4. It ends when 3 is closed, which the system does for a program that is killed too;
    // the shell outlives both and takes the folder away.
    private const string Shell =
        """
        folder=$1; shift; trap : HUP INT TERM
        "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null
        code=$?; rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
        exit $code
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3), StartsWithin = TimeSpan.FromSeconds(60);

    private readonly Process process;
    private readonly string folder;
    private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string said = "";
    private IBrowser? browser;
    private IPage? page;

    private RunningBrowser(string program, Process process, string folder)
    {
        (Program, this.process, this.folder) = (program, process, folder);
        process.Exited += (_, _) => ended.TrySetResult();
        process.EnableRaisingEvents = true;
    }

    /// <summary>The program that runs.</summary>
    public string Program { get; }

    /// <summary>Whether it still answers.</summary>
    public bool IsConnected => browser is { IsConnected: true } && !ended.Task.IsCompleted;

    /// <summary>Starts a browser without a window.</summary>
    /// <param name="program">Its path.</param>
    /// <param name="cancellationToken">Stops the wait for it.</param>
    /// <exception cref="IOException">It does not start.</exception>
    public static async Task<RunningBrowser> StartAsync(string program, CancellationToken cancellationToken = default)
    {
        string? place = null;
        RunningBrowser? running = null;
        try
        {
            place = Directory.CreateTempSubdirectory("headscope-browser-").FullName;
            var options = new LaunchOptions
            {
                ExecutablePath = program,
                Args =
                [
                    "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--font-render-hinting=none",
                    .. OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess ? (string[])["--no-sandbox"] : [],
                ],
            };
            if (OperatingSystem.IsWindows())
            {
                options.UserDataDir = Path.Combine(place, "profile");
                var launched = await Puppeteer.LaunchAsync(options);
                return new RunningBrowser(program, launched.Process, place) { browser = launched };
            }

            string[] arguments = ["-c", Shell, program, place, "--remote-debugging-pipe", $"--user-data-dir={Path.Combine(place, "profile")}", .. Puppeteer.GetDefaultArgs(options)];
            var start = new ProcessStartInfo("/bin/sh", arguments) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            running = new RunningBrowser(program, Process.Start(start)!, place);
            return await running.ConnectAsync(cancellationToken);
        }
        catch (Exception exception)
        {
            await (running?.DisposeAsync() ?? ValueTask.CompletedTask);
            Delete(place);
            cancellationToken.ThrowIfCancellationRequested();
            throw new IOException($"The browser {program} does not start: {exception.Message}", exception);
        }
    }

    /// <summary>Works on the page, empty, where fonts may be read; when it does not come to an end, the browser is of no more use.</summary>
    /// <param name="work">What to do with it.</param>
    /// <param name="cancellationToken">Stops the wait for it.</param>
    /// <exception cref="PuppeteerException">The browser or the page ended.</exception>
    public async Task<T> UseAsync<T>(Func<IPage, Task<T>> work, CancellationToken cancellationToken)
    {
        return await UnlessEndedAsync(WorkAsync(), cancellationToken);

        async Task<T> WorkAsync() => await work(await PageAsync());
    }

    /// <summary>The page, empty; fonts may be read there.</summary>
    public async Task<IPage> PageAsync()
    {
        if (page is not null)
        {
            return page;
        }

        // A file is a safe place to the browser, which gives fonts to no other.
        var file = Path.Combine(folder, "page.html");
        await File.WriteAllTextAsync(Path.Combine(folder, "plotly.js"), ChartOutput.PlotlyScript);
        await File.WriteAllTextAsync(Path.Combine(folder, "paper.js"), string.Concat(new[] { "labels.js", "drawing.js", "paper.js" }.Select(ChartOutput.Script)));
        await File.WriteAllTextAsync(
            file, "<!doctype html><meta charset=\"utf-8\"><script src=\"plotly.js\"></script><script src=\"paper.js\"></script><body style=\"margin:0\"></body>");
        var fresh = await browser!.NewPageAsync();
        fresh.Error += (_, _) => ended.TrySetResult();
        await fresh.GoToAsync(new Uri(file).AbsoluteUri);
        return page = fresh;
    }

    /// <summary>Ends the browser and its children; its folder goes with it.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await (browser?.CloseAsync() ?? throw new TimeoutException()).WaitAsync(Patience);
            await process.WaitForExitAsync().WaitAsync(Patience);
        }
        catch (Exception exception) when (exception is PuppeteerException or TimeoutException or InvalidOperationException)
        {
            process.Kill(entireProcessTree: true);
        }

        process.Dispose();
        Delete(folder);
    }

    private async Task<RunningBrowser> ConnectAsync(CancellationToken cancellationToken)
    {
        process.ErrorDataReceived += (_, line) => said = line.Data is { Length: > 0 } text ? text : said;
        process.BeginErrorReadLine();
        var pipe = new PipeTransport(process.StandardInput.BaseStream, process.StandardOutput.BaseStream);
        pipe.Start();
        var connecting = Puppeteer.ConnectAsync(new ConnectOptions { BrowserWSEndpoint = "ws://pipe", TransportFactory = (_, _, _) => Task.FromResult<IConnectionTransport>(pipe) });
        browser = await UnlessEndedAsync(connecting.WaitAsync(StartsWithin, cancellationToken), cancellationToken);
        return this;
    }

    // Nothing answers for a browser that is gone.
    private async Task<T> UnlessEndedAsync<T>(Task<T> answer, CancellationToken cancellationToken) =>
        await Task.WhenAny(answer, ended.Task).WaitAsync(cancellationToken) == answer ? await answer : throw new PuppeteerException($"it ended. {said}");

    private static void Delete(string? folder)
    {
        for (var tries = 0; folder is not null; tries++)
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
