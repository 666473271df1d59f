using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>Which native libraries to load, decided from the platform and from what lies where; or why that cannot be.</summary>
/// <param name="Libraries">libtorch's files, in the order in which they need each other.</param>
/// <param name="Binding">TorchSharp's own library, which comes last.</param>
/// <param name="Fault">In one sentence what is missing and what brings it; null when nothing is.</param>
internal sealed record LibTorchPlan(IReadOnlyList<string> Libraries, string Binding, string? Fault)
{
    /// <summary>Names a folder with another libtorch, which the tool and the kernel then load.</summary>
    public const string Variable = "HEADSCOPE_LIBTORCH";

    private const string Version = "2.10";
    private const string Packages = "TorchSharp-cpu (or TorchSharp-cuda-linux, TorchSharp-cuda-windows)";
    private static readonly Version OldestGlibc = new(2, 34);

    /// <summary>Decides from the folder that <see cref="Variable"/> names, that of TorchSharp.dll, and those in which the runtime looks for native
    /// libraries by name.</summary>
    public static LibTorchPlan Make(
        TorchPlatform platform,
        string? named,
        string? bindings,
        IReadOnlyList<string> searched,
        Func<string, bool> exists,
        Func<string, string, string[]> directories)
    {
        var native = Path.Combine("runtimes", platform.Name, "native");
        List<string> folders = [.. searched.Select(folder => Path.Combine(folder, "libtorch")), .. searched];
        if (bindings is not null)
        {
            // The last two are a package folder, as in a notebook: torchsharp/VERSION/lib/net8.0/TorchSharp.dll.
            var packages = Path.Combine(bindings, "..", "..", "..", "..");
            folders.AddRange([Path.Combine(bindings, "libtorch"), bindings, Path.Combine(bindings, native), Path.Combine(bindings, "..", "..", native)]);
            folders.AddRange(directories(Path.Combine(packages, $"libtorch-cpu-{platform.Name}"), $"{Version}.*")
                .OrderDescending(StringComparer.Ordinal).Select(folder => Path.Combine(folder, native)));
        }

        string? Find(string library, IEnumerable<string> places) =>
            places.Select(folder => Path.GetFullPath(Path.Combine(folder, platform.FileOf(library)))).FirstOrDefault(exists);

        var torch = Find("torch_cpu", named is null ? folders : [named]);
        if (named is not null && torch is null)
        {
            return Failed($"{Variable}={named} holds no {platform.FileOf("torch_cpu")}: expected the folder with the libraries of libtorch {Version}, "
                + "such as lib of its archive or torch/lib of PyTorch.");
        }

        if (named is not null && Find("torch_cpu", searched) is { } own && own != torch)
        {
            return Failed($"{Variable} is for the headscope command and its kernel; this program has its own libtorch, {own}, and a process holds "
                + $"only one: reference another package instead, {Packages}.");
        }

        var binding = Find("LibTorchSharp", named is null ? folders : folders.Prepend(named));
        return torch is null || binding is null
            ? Failed(Unsupported(platform)
                ?? $"libtorch is missing: {platform.FileOf(torch is null ? "torch_cpu" : "LibTorchSharp")} is not among the program's files; reference the "
                + $"package {Packages} in the project that runs, or write #r \"nuget: TorchSharp-cpu\" in the notebook.")
            : new(
                [.. new[] { "c10", "c10_cuda", "torch_cpu", "torch_cuda", "torch" }
                    .Select(library => Path.Combine(Path.GetDirectoryName(torch)!, platform.FileOf(library))).Where(exists)],
                binding,
                null);
    }

    /// <summary>Says in one sentence why libraries that are there do not load, from what the system's loader said in whatever many lines.</summary>
    public static string Explain(TorchPlatform platform, string? named, string error)
    {
        var said = error.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).LastOrDefault("no reason was given");
        return Unsupported(platform) ?? (platform switch
        {
            { System: "linux", Glibc: { } glibc } when glibc < OldestGlibc =>
                $"libtorch needs glibc {OldestGlibc} or later, and this system has {glibc}: use Debian 12, Ubuntu 22.04 or later, or a container of them.",
            _ when named is not null =>
                $"The libtorch in {Variable}={named} does not load, or does not fit TorchSharp, which needs libtorch {Version}: {said}",
            { System: "win" } =>
                "TorchSharp 0.107.0 does not load on Windows (fault 1567 of its repository): run HeadScope in WSL 2, the Linux of Windows; "
                + $"the system said: {said}",
            _ when error.Contains("GLIBCXX_", StringComparison.Ordinal) =>
                $"libtorch needs the C++ runtime (libstdc++) of GCC 11 or later, and this system's is older: {said}",
            _ => $"libtorch does not load: {said}",
        });
    }

    private static string? Unsupported(TorchPlatform platform) =>
        platform is { System: "linux", Glibc: null }
            ? "There is no libtorch for Linux without the GNU C library (Alpine's is musl): use a distribution with glibc, such as Debian 12."
            : platform.Name is "linux-x64" or "win-x64" or "win-arm64" or "osx-arm64" ? null
            : $"There is no package with libtorch for {platform.Name}: HeadScope runs on linux-x64 and osx-arm64; elsewhere {Variable} may name a folder "
                + $"with a libtorch {Version} and a LibTorchSharp that were built for it.";

    private static LibTorchPlan Failed(string fault) => new([], "", fault);
}

/// <summary>What decides whether a libtorch exists for a machine.</summary>
/// <remarks>The system is linux, win or osx; glibc is null elsewhere than on Linux, and with another C library (musl).</remarks>
internal sealed partial record TorchPlatform(string System, Architecture Architecture, Version? Glibc)
{
    public static TorchPlatform Current { get; } = new(
        OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux", RuntimeInformation.ProcessArchitecture, FindGlibc());

    /// <summary>As packages call it: linux-x64.</summary>
    public string Name => $"{System}-{Architecture.ToString().ToLowerInvariant()}";

    /// <summary>The file of a library: libtorch_cpu.so for torch_cpu.</summary>
    public string FileOf(string library) => System switch
    {
        "win" => $"{library}.dll",
        "osx" => $"lib{library}.dylib",
        _ => $"lib{library}.so",
    };

    private static Version? FindGlibc()
    {
        try
        {
            return OperatingSystem.IsLinux() && Version.TryParse(Marshal.PtrToStringUTF8(GlibcVersion()), out var version) ? version : null;
        }
        catch (EntryPointNotFoundException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "gnu_get_libc_version")]
    private static partial nint GlibcVersion();
}
