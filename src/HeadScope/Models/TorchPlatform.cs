using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>What decides whether a libtorch exists for a machine.</summary>
/// <param name="System">linux, win or osx.</param>
/// <param name="Architecture">The process's.</param>
/// <param name="Glibc">The version of the GNU C library; null elsewhere, and on a Linux with another C library (musl).</param>
internal sealed partial record TorchPlatform(string System, Architecture Architecture, Version? Glibc)
{
    private static readonly string[] WithPackage = ["linux-x64", "win-x64", "win-arm64", "osx-arm64"];

    /// <summary>This machine.</summary>
    public static TorchPlatform Current { get; } = new(
        OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux", RuntimeInformation.ProcessArchitecture, FindGlibc());

    /// <summary>As packages call it: linux-x64.</summary>
    public string Name => $"{System}-{Architecture.ToString().ToLowerInvariant()}";

    /// <summary>Whether the GNU C library is missing where libtorch needs it.</summary>
    public bool LacksGlibc => System == "linux" && Glibc is null;

    /// <summary>Whether there are packages that bring libtorch.</summary>
    public bool HasPackage => WithPackage.Contains(Name, StringComparer.Ordinal);

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
