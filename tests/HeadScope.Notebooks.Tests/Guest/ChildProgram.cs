using System.Diagnostics;

namespace HeadScope.Notebooks.Tests;

/// <summary>Runs programs as a person at a terminal would, with an environment that the test names.</summary>
internal static class ChildProgram
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(15);

    /// <summary>The <c>dotnet</c> that runs this test.</summary>
    public static string Dotnet { get; } = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet";

    /// <summary>Runs a program to its end.</summary>
    /// <returns>Its exit code, and all that it wrote on both streams.</returns>
    public static async Task<(int Code, string Said)> RunAsync(
        string program, IReadOnlyList<string> arguments, string folder, IEnumerable<KeyValuePair<string, string>> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };

        // What `dotnet test` tells its own children would lead an SDK astray.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToList())
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Longest);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException stopped)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end within {Longest}.", stopped);
        }

        return (process.ExitCode, await output + await error);
    }
}
