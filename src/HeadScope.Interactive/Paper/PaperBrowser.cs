using PuppeteerSharp;

namespace HeadScope;

/// <summary>An installed Chromium, Chrome or Edge without a window, which draws charts for paper: started for the first, kept for those that follow,
/// ended when none was drawn for a while or the program ends.</summary>
internal static class PaperBrowser
{
    /// <summary>The environment variable that names the browser to use.</summary>
    public const string Variable = "HEADSCOPE_BROWSER";

    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(20);

    private static readonly string[] Names =
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "microsoft-edge-stable", "msedge"];

    private static readonly SemaphoreSlim Gate = new(1, 1);
    private static readonly Timer Closing = new(_ => CloseIdleAsync().GetAwaiter().GetResult());
    private static RunningBrowser? running;

    static PaperBrowser() => AppDomain.CurrentDomain.ProcessExit += (_, _) => Task.Run(async () => await EndAsync()).Wait(TimeSpan.FromSeconds(5));

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

    /// <summary>Says before any work that pictures cannot be drawn.</summary>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    public static string Require() => Find() ?? throw new FileNotFoundException(
        $"SVG, PDF and PNG are drawn by Chromium, Chrome or Edge, and none was found. Install one, or name it in {Variable}; .html and .json need none.");

    /// <summary>Lends a page of a local file that has plotly.js and what lays charts out for paper, to one user at a time.</summary>
    /// <param name="work">What to do with it.</param>
    /// <param name="cancellationToken">Stops the wait for it, and the work.</param>
    /// <exception cref="FileNotFoundException">No browser was found.</exception>
    /// <exception cref="IOException">It does not start, or ended while it worked.</exception>
    public static async Task<T> WithPageAsync<T>(Func<IPage, Task<T>> work, CancellationToken cancellationToken)
    {
        var program = Require();
        await Gate.WaitAsync(cancellationToken);
        try
        {
            Closing.Change(Timeout.Infinite, Timeout.Infinite);
            for (var again = running is not null; ; again = false)
            {
                if (running is not { IsConnected: true } || !string.Equals(running.Program, program, StringComparison.Ordinal))
                {
                    await EndAsync();
                    running = await RunningBrowser.StartAsync(program, cancellationToken);
                }

                try
                {
                    return await running.UseAsync(work, cancellationToken);
                }
                catch (Exception exception) when (exception is not ArgumentException)
                {
                    // A browser whose work broke off may be in any state. One that was ended since the last chart gives way to a new one.
                    again &= !running.IsConnected;
                    await EndAsync();
                    cancellationToken.ThrowIfCancellationRequested();
                    if (!again)
                    {
                        throw new IOException($"The browser {program} could not draw the chart: {exception.Message}", exception);
                    }
                }
            }
        }
        finally
        {
            Closing.Change(Idle, Timeout.InfiniteTimeSpan);
            Gate.Release();
        }
    }

    private static async Task CloseIdleAsync()
    {
        // Whoever holds the gate sets the timer anew.
        if (await Gate.WaitAsync(0))
        {
            try
            {
                await EndAsync();
            }
            finally
            {
                Gate.Release();
            }
        }
    }

    private static async ValueTask EndAsync()
    {
        if (Interlocked.Exchange(ref running, null) is { } ending)
        {
            await ending.DisposeAsync();
        }
    }

    private static string? InPath(string name)
    {
        if (Path.IsPathRooted(name) || name.Contains('/', StringComparison.Ordinal))
        {
            return File.Exists(name) ? Path.GetFullPath(name) : null;
        }

        string[] endings = OperatingSystem.IsWindows() ? [".exe", ""] : [""];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .SelectMany(folder => endings.Select(ending => Path.Combine(folder, name + ending))).FirstOrDefault(File.Exists);
    }

    private static IEnumerable<string> UsualPlaces() => OperatingSystem.IsMacOS()
        ? ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge"]
        : OperatingSystem.IsWindows()
        ? from root in new[] { Environment.SpecialFolder.ProgramFiles, Environment.SpecialFolder.ProgramFilesX86, Environment.SpecialFolder.LocalApplicationData }.Select(Environment.GetFolderPath)
          from file in new[] { @"Google\Chrome\Application\chrome.exe", @"Microsoft\Edge\Application\msedge.exe", @"Chromium\Application\chrome.exe" }
          select Path.Combine(root, file)
        : [];
}
