using System.Runtime.InteropServices;

namespace HeadScope.Tests;

/// <summary>What is loaded, or said, on machines that cannot all be had.</summary>
public sealed class LibTorchPlanTests
{
    private const string Program = "/app";

    private static readonly TorchPlatform Debian = new("linux", Architecture.X64, new Version(2, 36));

    public static TheoryData<string, Architecture, string?, string> PlatformsWithout => new()
    {
        { "linux", Architecture.X64, null, "There is no libtorch for Linux without the GNU C library (Alpine's is musl): use a distribution with glibc" },
        { "linux", Architecture.Arm64, "2.36", "There is no package with libtorch for linux-arm64: HeadScope runs on linux-x64 and osx-arm64" },
        { "osx", Architecture.X64, null, "There is no package with libtorch for osx-x64: HeadScope runs on linux-x64 and osx-arm64" },
        { "win", Architecture.X86, null, "There is no package with libtorch for win-x86: HeadScope runs on linux-x64 and osx-arm64" },
    };

    public static TheoryData<string, Architecture, string?, string, string> Failures => new()
    {
        { "linux", Architecture.X64, "2.31", "version `GLIBC_2.34' not found", "libtorch needs glibc 2.34 or later, and this system has 2.31: use Debian 12" },
        { "win", Architecture.X64, null, "procedure not found (0x8007007F)", "TorchSharp 0.107.0 does not load on Windows (fault 1567 of its repository): run HeadScope in WSL 2" },
        { "win", Architecture.Arm64, null, "procedure not found", "fault 1567" },
        { "linux", Architecture.X64, "2.36", "x.so: version `GLIBCXX_3.4.29' not found", "the C++ runtime (libstdc++) of GCC 11 or later, and this system's is older: x.so" },
        { "osx", Architecture.Arm64, null, "Unable to load:\n\n  library not found  \n", "libtorch does not load: library not found" },
        { "linux", Architecture.X64, null, "symbol not found", "Alpine" },
        { "osx", Architecture.X64, null, "wrong architecture", "osx-x64" },
    };

    [Theory]
    [MemberData(nameof(PlatformsWithout))]
    public void A_platform_without_a_package_is_named(string system, Architecture architecture, string? glibc, string expected)
    {
        var platform = new TorchPlatform(system, architecture, glibc is null ? null : Version.Parse(glibc));
        Assert.StartsWith(expected, Plan(platform, null).Fault, StringComparison.Ordinal);
        Assert.Single(Plan(platform, null).Fault!.Split('\n'));
    }

    [Theory]
    [MemberData(nameof(Failures))]
    public void A_failure_to_load_is_explained(string system, Architecture architecture, string? glibc, string error, string expected)
    {
        var platform = new TorchPlatform(system, architecture, glibc is null ? null : Version.Parse(glibc));
        var said = LibTorchPlan.Explain(platform, null, error);
        Assert.Contains(expected, said, StringComparison.Ordinal);
        Assert.Single(said.Split('\n'));
    }

    [Fact]
    public void Libraries_on_a_platform_without_a_package_are_tried_all_the_same()
    {
        var arm = new TorchPlatform("linux", Architecture.Arm64, new Version(2, 36));
        Assert.Null(Plan(arm, "/own", "/own/libtorch_cpu.so", "/own/libLibTorchSharp.so").Fault);
        Assert.Null(Plan(arm, null, "/app/libtorch_cpu.so", "/app/libLibTorchSharp.so").Fault);
    }

    [Fact]
    public void Without_a_package_the_error_names_it()
    {
        Assert.StartsWith(
            "libtorch is missing: libtorch_cpu.so is not among the program's files; reference the package TorchSharp-cpu",
            Plan(Debian, null, "/app/libLibTorchSharp.so").Fault,
            StringComparison.Ordinal);
        Assert.Contains("torch_cpu.dll", Plan(new("win", Architecture.X64, null), null).Fault, StringComparison.Ordinal);
        Assert.Contains("libLibTorchSharp.so is not among", Plan(Debian, null, "/app/libtorch_cpu.so").Fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Libraries_are_loaded_in_the_order_of_their_needs()
    {
        var plan = Plan(Debian, null, [.. Files("/app/libtorch", "torch_cuda", "torch", "torch_cpu", "c10_cuda", "c10", "LibTorchSharp")]);
        Assert.Null(plan.Fault);
        Assert.Equal(Files("/app/libtorch", "c10", "c10_cuda", "torch_cpu", "torch_cuda", "torch"), plan.Libraries);
        Assert.Equal("/app/libtorch/libLibTorchSharp.so", plan.Binding);
    }

    [Fact]
    public void A_package_folder_is_found_from_the_assembly()
    {
        string[] torch = [.. Files("/packages/libtorch-cpu-linux-x64/2.10.0/runtimes/linux-x64/native", "c10", "torch_cpu", "torch")];
        string[] files = [.. torch, "/packages/torchsharp/0.107.0/runtimes/linux-x64/native/libLibTorchSharp.so"];
        var plan = LibTorchPlan.Make(
            Debian,
            null,
            "/packages/torchsharp/0.107.0/lib/net8.0",
            [Program],
            files.Contains,
            (folder, pattern) => folder.EndsWith("libtorch-cpu-linux-x64", StringComparison.Ordinal) && pattern == "2.10.*" ? [folder + "/2.10.0"] : []);
        Assert.Equal(torch, plan.Libraries);
        Assert.Equal("/packages/torchsharp/0.107.0/runtimes/linux-x64/native/libLibTorchSharp.so", plan.Binding);
    }

    [Fact]
    public void A_named_folder_comes_first()
    {
        string[] own = [.. Files("/app/libtorch", "c10", "torch_cpu", "torch", "LibTorchSharp")];
        string[] other = [.. Files("/other", "c10", "torch_cpu", "torch")];
        Assert.Equal(other, Plan(Debian, "/other", [.. own, .. other]).Libraries);
        Assert.Equal("/app/libtorch/libLibTorchSharp.so", Plan(Debian, "/other", [.. own, .. other]).Binding);
        Assert.Equal("/other/libLibTorchSharp.so", Plan(Debian, "/other", [.. own, .. other, "/other/libLibTorchSharp.so"]).Binding);
        Assert.StartsWith("HEADSCOPE_LIBTORCH=/none holds no libtorch_cpu.so: expected", Plan(Debian, "/none", own).Fault, StringComparison.Ordinal);
        Assert.Contains("HEADSCOPE_LIBTORCH=/other does not load", LibTorchPlan.Explain(Debian, "/other", "undefined symbol"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_named_folder_is_refused_where_the_runtime_would_find_another_by_name()
    {
        string[] files = [.. Files(Program, "c10", "torch_cpu", "torch", "LibTorchSharp"), .. Files("/other", "c10", "torch_cpu", "torch")];
        Assert.Contains("this program has its own libtorch, /app/libtorch_cpu.so", Plan(Debian, "/other", files).Fault, StringComparison.Ordinal);
        Assert.Null(Plan(Debian, Program, files).Fault);
    }

    private static IEnumerable<string> Files(string folder, params string[] libraries) => libraries.Select(library => $"{folder}/lib{library}.so");

    private static LibTorchPlan Plan(TorchPlatform platform, string? named, params string[] files)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The paths are those of Linux.");
        return LibTorchPlan.Make(platform, named, Program, [Program], files.Contains, (_, _) => []);
    }
}
