using System.Diagnostics;
using System.Text.Json;
using HeadScope.Notebooks.Kernel;

namespace HeadScope.Notebooks.Tests;

/// <summary>The tests that use <see cref="PythonClient"/> run one after another, so that their times mean something.</summary>
[CollectionDefinition(nameof(PythonClient))]
public sealed class PythonClientTests : ICollectionFixture<PythonClient>;

/// <summary>Runs the scripts in clients/ with a Python that has jupyter_client, against the kernel installed in a folder of its own.</summary>
public sealed class PythonClient : IDisposable
{
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(15);
    private readonly Lazy<IReadOnlyDictionary<string, (bool Ok, string Detail)>>? checks;
    private readonly string data = Directory.CreateTempSubdirectory("headscope-jupyter-").FullName;

    public PythonClient()
    {
        Python = FindPython();
        if (Python is null)
        {
            return;
        }

        var program = Path.Combine(AppContext.BaseDirectory, "HeadScope.Cli.dll");
        KernelSpecification.Install(data, [DotnetHost(), program, "kernel", "start", "-f", "{connection_file}"]);
        checks = new Lazy<IReadOnlyDictionary<string, (bool Ok, string Detail)>>(RunChecks);
    }

    /// <summary>The interpreter; null when there is none with jupyter_client.</summary>
    public string? Python { get; }

    /// <summary>What each check of kernel_checks.py came to.</summary>
    public IReadOnlyDictionary<string, (bool Ok, string Detail)> Checks => checks!.Value;

    public void Dispose() => Directory.Delete(data, recursive: true);

    /// <summary>Skips the test that calls it where no client is installed.</summary>
    public void Require() =>
        Assert.SkipWhen(Python is null, "No Python with jupyter_client is here; on Debian: apt-get install python3-jupyter-client python3-nbconvert.");

    /// <summary>Runs Python.</summary>
    public (int Code, string Output, string Error) Run(params IReadOnlyList<string> arguments) => Run(Python!, arguments, data);

    /// <summary>The Jupyter folder in which the kernel is installed, for <c>JUPYTER_PATH</c>.</summary>
    public string Data => data;

    /// <summary>The folder of the scripts.</summary>
    public static string Scripts => Path.Combine(TestData.Repository, "tests", "HeadScope.Notebooks.Tests", "clients");

    private static string DotnetHost() =>
        Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host
        : Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root && File.Exists(Path.Combine(root, "dotnet")) ? Path.Combine(root, "dotnet")
        : "dotnet";

    private static string? FindPython() =>
        new[] { Environment.GetEnvironmentVariable("HEADSCOPE_PYTHON"), "/usr/bin/python3", "python3" }
            .FirstOrDefault(python => !string.IsNullOrEmpty(python) && HasClient(python));

    private static bool HasClient(string python)
    {
        try
        {
            return Run(python, ["-c", "import jupyter_client, zmq"], null).Code == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private Dictionary<string, (bool Ok, string Detail)> RunChecks()
    {
        var (_, output, error) = Run(Path.Combine(Scripts, "kernel_checks.py"));
        var results = new Dictionary<string, (bool, string)>(StringComparer.Ordinal);
        foreach (var line in output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var json = JsonDocument.Parse(line);
            var check = json.RootElement;
            results[check.GetProperty("check").GetString()!] = (check.GetProperty("ok").GetBoolean(), check.GetProperty("detail").GetString()!);
        }

        Assert.True(results.Count > 0, error);
        return results;
    }

    private static (int Code, string Output, string Error) Run(string python, IReadOnlyList<string> arguments, string? jupyterPath)
    {
        var start = new ProcessStartInfo(python, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["JUPYTER_PLATFORM_DIRS"] = "1";
        if (jupyterPath is not null)
        {
            start.Environment["JUPYTER_PATH"] = jupyterPath;
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Longest))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{python} {string.Join(' ', arguments)} did not end within {Longest}.");
        }

        return (process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }
}
