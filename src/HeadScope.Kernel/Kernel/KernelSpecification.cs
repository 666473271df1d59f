using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Kernel;

/// <summary>The folder by which Jupyter and VS Code find the kernel: <c>kernels/headscope/kernel.json</c> and a logo.</summary>
internal static class KernelSpecification
{
    /// <summary>How notebooks name the kernel.</summary>
    public const string Name = "headscope";

    /// <summary>How people see it.</summary>
    public const string DisplayName = "C# (HeadScope)";

    private const string Logo = """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
          <rect width="64" height="64" rx="12" fill="#22304a"/>
          <g stroke="#f0b429" stroke-width="3" fill="none" stroke-linecap="round">
            <path d="M14 46 C14 20 32 20 32 46"/>
            <path d="M32 46 C32 28 50 28 50 46" stroke="#59a5d8"/>
            <path d="M14 46 C14 6 50 6 50 46" stroke="#e4e9f2"/>
          </g>
          <g fill="#ffffff"><circle cx="14" cy="48" r="4.5"/><circle cx="32" cy="48" r="4.5"/><circle cx="50" cy="48" r="4.5"/></g>
        </svg>

        """;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The user's Jupyter folder: <c>JUPYTER_DATA_DIR</c>, or where Jupyter looks on this platform.</summary>
    public static string UserDataFolder()
    {
        if (Environment.GetEnvironmentVariable("JUPYTER_DATA_DIR") is { Length: > 0 } chosen)
        {
            return chosen;
        }

        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return OperatingSystem.IsWindows() ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData), "jupyter")
            : OperatingSystem.IsMacOS() ? Path.Combine(home, "Library", "Jupyter")
            : Path.Combine(
                Environment.GetEnvironmentVariable("XDG_DATA_HOME") is { Length: > 0 } data ? data : Path.Combine(home, ".local", "share"),
                "jupyter");
    }

    /// <summary>The Jupyter folder below an installation prefix, such as that of a virtual environment.</summary>
    /// <param name="prefix">The prefix: <c>/usr/local</c>, or an environment's folder.</param>
    public static string DataFolderOf(string prefix) => Path.Combine(Path.GetFullPath(prefix), "share", "jupyter");

    /// <summary>The active Python environment's folder.</summary>
    /// <exception cref="InvalidOperationException">None is active.</exception>
    public static string EnvironmentPrefix() =>
        new[] { "VIRTUAL_ENV", "CONDA_PREFIX" }.Select(Environment.GetEnvironmentVariable).FirstOrDefault(p => !string.IsNullOrEmpty(p))
        ?? throw new InvalidOperationException(
            "No Python environment is active: neither VIRTUAL_ENV nor CONDA_PREFIX is set. Activate one, or use --user or --prefix.");

    /// <summary>Writes the specification.</summary>
    /// <param name="dataFolder">The Jupyter folder; <c>kernels/name</c> is made below it.</param>
    /// <param name="command">How to start the kernel; <c>{connection_file}</c> stands for the file that the client writes.</param>
    /// <param name="name">The name of the folder: a letter or digit, then letters, digits, dots, dashes and underscores.</param>
    /// <param name="displayName">How people see it.</param>
    /// <returns>The folder.</returns>
    /// <exception cref="ArgumentException">The name is another, which might lead elsewhere.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static string Install(string dataFolder, IReadOnlyList<string> command, string name = Name, string displayName = DisplayName)
    {
        ArgumentException.ThrowIfNullOrEmpty(dataFolder);
        ArgumentNullException.ThrowIfNull(command);
        if (string.IsNullOrEmpty(name) || !char.IsAsciiLetterOrDigit(name[0]) || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_')))
        {
            throw new ArgumentException($"'{name}' cannot name a kernel: expected a letter or digit, then letters, digits, '.', '-' and '_'.", nameof(name));
        }

        var folder = Path.Combine(dataFolder, "kernels", name);
        var json = new JsonObject
        {
            ["argv"] = new JsonArray([.. command.Select(part => (JsonNode)part)]),
            ["display_name"] = displayName,
            ["language"] = "C#",

            // Works on every platform; SIGINT is understood as well.
            ["interrupt_mode"] = "message",
            ["metadata"] = new JsonObject { ["debugger"] = false },
        };
        AtomicFile.WriteText(Path.Combine(folder, "kernel.json"), json.ToJsonString(Indented) + "\n");
        AtomicFile.WriteText(Path.Combine(folder, "logo-svg.svg"), Logo);
        return folder;
    }

    /// <summary>How to start the kernel with the program that is running now.</summary>
    /// <returns>The program, the words <c>kernel start -f</c> and the place of the connection file.</returns>
    public static IReadOnlyList<string> RunningCommand()
    {
        var program = Environment.ProcessPath ?? throw new InvalidOperationException("The path of the running program is not known.");
        string[] verb = ["kernel", "start", "-f", "{connection_file}"];

        // Started as "dotnet HeadScope.Cli.dll", the program is dotnet.
        return Path.GetFileNameWithoutExtension(program).Equals("dotnet", StringComparison.OrdinalIgnoreCase)
            ? [program, Path.GetFullPath(Environment.GetCommandLineArgs()[0]), .. verb]
            : [program, .. verb];
    }
}
