using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>How libtorch is found and loaded; each way of starting in a process of its own, which runs one test of this class.</summary>
public sealed partial class LibTorchTests : IDisposable
{
    private static readonly bool IsChild = Environment.GetEnvironmentVariable("HEADSCOPE_TEST_CHILD") is not null;

    private static readonly EnumerationOptions EveryFile = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None };

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-").FullName;

    /// <summary>Tests may make tensors before they use anything of HeadScope.</summary>
    [ModuleInitializer]
    internal static void Prepare() => LibTorch.Prepare();

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Tensors_are_made_with_the_libraries_of_one_folder()
    {
        LibTorch.Require();
        using var scope = torch.NewDisposeScope();
        Assert.Equal(3f, torch.ones(3).sum().item<float>());
        if (OperatingSystem.IsLinux())
        {
            var named = Environment.GetEnvironmentVariable("HEADSCOPE_LIBTORCH");
            var expected = named ?? Path.GetDirectoryName(RealPath(Path.Combine(AppContext.BaseDirectory, "libtorch", "libtorch_cpu.so")));
            Assert.Equal(["libc10.so", "libtorch.so", "libtorch_cpu.so"], Loaded().Where(f => f.Folder == expected).Select(f => f.Name)
                .Where(n => n.StartsWith("libc10", StringComparison.Ordinal) || n.StartsWith("libtorch", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
            Assert.Single(Loaded(), f => f.Name.StartsWith("libtorch_cpu", StringComparison.Ordinal));
            var binding = Assert.Single(Loaded(), f => f.Name.Contains("libLibTorchSharp", StringComparison.Ordinal)).Name;
            Assert.True(Environment.GetEnvironmentVariable("HEADSCOPE_TEST_CHANGED") is null || binding.StartsWith("memfd:", StringComparison.Ordinal), binding);
        }
    }

    [Fact]
    public async Task Another_libtorch_is_loaded_where_one_is_named()
    {
        Parent();
        Link(Path.Combine(AppContext.BaseDirectory, "libtorch"), folder);
        File.Delete(Path.Combine(folder, "libLibTorchSharp.so"));
        var (exit, said) = await Child(nameof(Tensors_are_made_with_the_libraries_of_one_folder), ("HEADSCOPE_LIBTORCH", folder));
        Assert.True(exit == 0, said);
    }

    [Fact]
    public async Task A_folder_without_libtorch_is_named_in_the_error()
    {
        Parent();
        var (exit, said) = await Child(nameof(Tensors_are_made_with_the_libraries_of_one_folder), ("HEADSCOPE_LIBTORCH", folder));
        Assert.NotEqual(0, exit);
        Assert.Contains($"System.DllNotFoundException : HEADSCOPE_LIBTORCH={folder} holds no libtorch_cpu.so: expected", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_libtorch_that_does_not_load_is_named_in_the_error()
    {
        Parent();
        await File.WriteAllTextAsync(Path.Combine(folder, "libtorch_cpu.so"), "not a library", TestContext.Current.CancellationToken);
        var (exit, said) = await Child(nameof(Tensors_are_made_with_the_libraries_of_one_folder), ("HEADSCOPE_LIBTORCH", folder));
        Assert.NotEqual(0, exit);
        Assert.Contains($"The libtorch in HEADSCOPE_LIBTORCH={folder} does not load, or does not fit TorchSharp", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_written_to_any_folder()
    {
        Parent();
        var (exit, said) = await Child(
            nameof(Tensors_are_made_with_the_libraries_of_one_folder), ("XDG_CACHE_HOME", folder), ("TMPDIR", folder), ("HOME", folder));
        Assert.True(exit == 0, said);
        Assert.Empty(Directory.GetFiles(folder, "*", EveryFile));
    }

    [Fact]
    public async Task An_older_cpp_runtime_is_enough()
    {
        Parent();
        LibTorch.Require();
        var (at, name) = Loaded().Single(f => f.Name.StartsWith("libstdc++.so", StringComparison.Ordinal));
        var runtime = await File.ReadAllBytesAsync(Path.Combine(at, name), TestContext.Current.CancellationToken);
        for (var version = 30; version < 40; version++)
        {
            // This machine's runtime, without the versions that came after GCC 11.
            if (runtime.AsSpan().IndexOf(Encoding.ASCII.GetBytes($"GLIBCXX_3.4.{version}\0")) is >= 0 and var found)
            {
                runtime[found] = (byte)'X';
            }
        }

        await File.WriteAllBytesAsync(Path.Combine(folder, "libstdc++.so.6"), runtime, TestContext.Current.CancellationToken);
        var (exit, said) = await Child(
            nameof(Tensors_are_made_with_the_libraries_of_one_folder), ("LD_LIBRARY_PATH", folder), ("LD_BIND_NOW", "1"), ("HEADSCOPE_TEST_CHANGED", "1"));
        Assert.True(exit == 0, said);
    }

    [Fact]
    public void Threads_wait_without_spinning()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no real environment apart from .NET's.");
        Assert.Equal(Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") ?? "PASSIVE", Marshal.PtrToStringUTF8(GetEnvironment("OMP_WAIT_POLICY")));
    }

    [Fact]
    public async Task A_wait_policy_of_the_user_stays()
    {
        Parent();
        var (exit, said) = await Child(nameof(Threads_wait_without_spinning), ("OMP_WAIT_POLICY", "ACTIVE"));
        Assert.True(exit == 0, said);
    }

    [Fact]
    public void The_number_of_threads_is_that_of_HeadScope()
    {
        Assert.InRange(torch.get_num_threads(), 1, Math.Max(Environment.ProcessorCount, Parallelism.Threads));
        var before = Parallelism.Threads;
        try
        {
            Parallelism.Threads = 3;
            Assert.Equal(3, torch.get_num_threads());
        }
        finally
        {
            Parallelism.Threads = before;
        }
    }

    private static void Parent()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Looks at the libraries of a process as Linux lists them.");
        Assert.SkipWhen(IsChild, "Starts processes, and this is one of them.");
    }

    /// <summary>Runs one test of this class in a process of its own.</summary>
    private static async Task<(int Exit, string Said)> Child(string test, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, "HeadScope.Tests"), ["-method", $"{typeof(LibTorchTests).FullName}.{test}", "-noColor"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HEADSCOPE_TEST_CHILD"] = "1";
        start.Environment.Remove("HEADSCOPE_LIBTORCH");
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var said = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken) + await error;
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, said);
    }

    /// <summary>Gives files a second name, or where that is not possible a copy.</summary>
    private static void Link(string from, string to)
    {
        using var process = Process.Start("sh", ["-c", "ln -L \"$1\"/* \"$2\" 2>/dev/null || cp -fL \"$1\"/* \"$2\"", "sh", from, to]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    private static List<(string Folder, string Name)> Loaded() =>
        [.. File.ReadLines("/proc/self/maps").Where(line => line.Contains('/')).Select(line => line[line.IndexOf('/')..]).Distinct()
            .Select(path => (Path.GetDirectoryName(path)!, Path.GetFileName(path)))];

    private static string RealPath(string path) => File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetEnvironment(string name);
}
