using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Running;
using TorchSharp;

[assembly: AssemblyFixture(typeof(HeadScope.Notebooks.Tests.Guest))]

namespace HeadScope.Notebooks.Tests;

/// <summary>HeadScope's packages in a folder, as another program finds them, and Microsoft's kernel, .NET Interactive, which restores them from there.</summary>
public sealed class Guest : IAsyncDisposable
{
    /// <summary>How a notebook begins that runs in Microsoft's kernel and in HeadScope's.</summary>
    public static readonly string FirstCell = $"""
        #r "nuget: HeadScope.Interactive"
        #r "nuget: TorchSharp-cpu, {TorchVersion}"
        using HeadScope;
        using TorchSharp;
        using static TorchSharp.torch;
        """;

    private const string Tool = "Microsoft.dotnet-interactive";
    private const string ToolVersion = "1.0.712001";

    // Of two that look for a free port at the same time one fails, so that each has ports of its own.
    private static readonly string[] Ports = ["2048-2347", "2348-2647"];

    private readonly string root = Directory.CreateTempSubdirectory("headscope-guest-").FullName;
    private readonly Lazy<Task> packed;
    private readonly Lazy<Task<string?>> installed;
    private readonly ConcurrentDictionary<string, Lazy<Task<NotebookFile>>> runs = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim turns = new(Ports.Length);
    private readonly ConcurrentBag<string> free = [.. Ports];

    public Guest()
    {
        packed = new(() => Task.WhenAll(Pack("HeadScope"), Pack("HeadScope.Interactive")));
        installed = new(Install);
    }

    /// <summary>The version of TorchSharp that the packages are made for.</summary>
    public static string TorchVersion => typeof(torch).Assembly.GetName().Version!.ToString(3);

    /// <summary>A folder for a test's files, gone in the end.</summary>
    public string Folder(string name) => Directory.CreateDirectory(Path.Combine(root, name)).FullName;

    /// <summary>The folder with the packages.</summary>
    public async Task<string> Packages()
    {
        await packed.Value;
        return Folder("feed");
    }

    /// <summary>What lets a child find the packages, without a trace of them in the user's own folder of packages.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["RestoreAdditionalProjectSources"] = Folder("feed"),
        ["NUGET_PACKAGES"] = Folder("packages"),
        ["NUGET_FALLBACK_PACKAGES"] = System.Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } own ? own
            : Path.Combine(System.Environment.GetFolderPath(System.Environment.SpecialFolder.UserProfile), ".nuget", "packages"),
        ["TMPDIR"] = Folder("t"),
        ["LC_ALL"] = "C", // numbers as HeadScope's own kernel writes them
        ["DOTNET_NOLOGO"] = "1",
        ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1",
        ["DOTNET_INTERACTIVE_CLI_TELEMETRY_OPTOUT"] = "1",
    };

    /// <summary>Runs a notebook in Microsoft's kernel, once for all tests that name it; skips the test where there is no such kernel or no client.</summary>
    /// <param name="client">Python with nbconvert.</param>
    /// <param name="name">What tests call the notebook.</param>
    /// <param name="notebook">Makes it.</param>
    internal async Task<NotebookFile> RunAsync(PythonClient client, string name, Func<NotebookFile> notebook)
    {
        if (!runs.ContainsKey(name))
        {
            client.Require();
            Assert.SkipWhen(client.Run("-c", "import nbconvert").Code != 0, "nbconvert is not installed; on Debian: apt-get install python3-nbconvert.");
            var fault = await installed.Value;
            Assert.SkipWhen(fault is not null, $"The tool {Tool} {ToolVersion} could not be installed: {fault}");
        }

        return await runs.GetOrAdd(name, _ => new(() => RunAsync(client.Python!, name, notebook()))).Value;
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(runs.Values.Where(run => run.IsValueCreated).Select(run => run.Value.ContinueWith(_ => 0, TaskScheduler.Default)));
        turns.Dispose();
        Directory.Delete(root, recursive: true);
    }

    private async Task<NotebookFile> RunAsync(string python, string name, NotebookFile notebook)
    {
        await packed.Value;
        var path = Path.Combine(Folder("notebooks"), name + ".ipynb");
        notebook.Write(path);
        await turns.WaitAsync();
        free.TryTake(out var ports);
        try
        {
            var (code, said) = await ChildProgram.RunAsync(
                python,
                ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "--allow-errors", "--ExecutePreprocessor.kernel_name=.net-csharp", "--ExecutePreprocessor.timeout=600", path],
                Folder("notebooks"),
                Environment.Append(new("JUPYTER_PATH", Jupyter(ports!))).Append(new("JUPYTER_PLATFORM_DIRS", "1")));
            Assert.True(code == 0, said);
            return NotebookFile.Read(path);
        }
        finally
        {
            free.Add(ports!);
            turns.Release();
        }
    }

    private async Task Pack(string project)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        var (code, said) = await ChildProgram.RunAsync(
            ChildProgram.Dotnet,
            ["pack", Path.Combine(TestData.Repository, "src", project), "--no-build", "-c", configuration, "-o", Folder("feed"), "-nologo", "-v", "quiet"],
            root,
            []);
        Assert.True(code == 0, said);
    }

    private async Task<string?> Install()
    {
        var (code, said) = await ChildProgram.RunAsync(
            ChildProgram.Dotnet, ["tool", "install", Tool, "--version", ToolVersion, "--tool-path", Folder("tool")], root, Environment);
        return code == 0 ? null : said.Trim().Split('\n')[0];
    }

    /// <summary>A folder in which Jupyter finds the kernel, with the ports that it may take.</summary>
    private string Jupyter(string ports)
    {
        var jupyter = Folder("jupyter-" + ports);
        JsonArray start =
        [
            Path.Combine(Folder("tool"), "dotnet-interactive"), "jupyter", "--default-kernel", "csharp", "--http-local-only", "--http-port-range", ports, "{connection_file}",
        ];
        var specification = Directory.CreateDirectory(Path.Combine(jupyter, "kernels", ".net-csharp")).FullName;
        File.WriteAllText(
            Path.Combine(specification, "kernel.json"), new JsonObject { ["argv"] = start, ["display_name"] = ".NET (C#)", ["language"] = "C#" }.ToJsonString());
        return jupyter;
    }
}
