using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.Win32.SafeHandles;

namespace HeadScope;

/// <summary>Loads libtorch and TorchSharp's own native library, before TorchSharp looks for them.</summary>
/// <remarks>TorchSharp searches by name, which finds a distribution's older libtorch, and gives up where the C++ runtime is older than the one it
/// was built with. Here each library is loaded by its full path, in the order in which they need each other; TorchSharp then finds them
/// loaded.</remarks>
internal static partial class LibTorch
{
    private const uint CloseInChildren = 1; // MFD_CLOEXEC

    private static readonly Lazy<(nint Binding, string? Fault)> Native = new(LoadNative);
    private static readonly Lazy<string?> Started = new(Start);
    private static int? threads;

    /// <summary>In one sentence what is missing and what brings it; null where tensors can be made.</summary>
    public static string? Fault => Started.Value;

    private static string? Named => Environment.GetEnvironmentVariable(LibTorchPlan.Variable) is { Length: > 0 } named ? named : null;

    /// <summary>Makes sure that tensors can be made. Costs nothing from the second call on.</summary>
    /// <exception cref="DllNotFoundException">They cannot; the message says in one sentence what is missing and what brings it.</exception>
    public static void Require() => _ = Fault is { } fault ? throw new DllNotFoundException(fault) : 0;

    /// <summary>Loads libtorch now, if it can be loaded: for a program whose user may touch tensors before anything of HeadScope. What is missing
    /// is said by <see cref="Require"/>.</summary>
    public static void Prepare() => _ = Fault;

    /// <summary>The number of threads of a tensor operation, now or once libtorch is loaded.</summary>
    public static void SetThreads(int count)
    {
        threads = count;
        if (Started is { IsValueCreated: true, Value: null })
        {
            torch.set_num_threads(count);
        }
    }

    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "It must come before the first use of TorchSharp.")]
    internal static void Hook()
    {
        // OpenMP's threads spin while they wait, which takes the processors of everyone else on the machine. It reads this when it is loaded.
        if (OperatingSystem.IsWindows())
        {
            Environment.SetEnvironmentVariable("OMP_WAIT_POLICY", Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") ?? "PASSIVE");
        }
        else
        {
            _ = SetEnvironment("OMP_WAIT_POLICY", "PASSIVE", overwrite: 0); // .NET's own call leaves the real environment as it is
        }

        // TorchSharp is loaded when the first method that names it is about to run, and looks for libtorch when a tensor is about to be made.
        AppDomain.CurrentDomain.AssemblyLoad += (_, loaded) => _ = loaded.LoadedAssembly.GetName().Name == "TorchSharp" ? Native.Value : default;

        // Raised only after the ordinary search has failed, as it does where the dynamic linker does not know libraries by their names.
        AssemblyLoadContext[] contexts = [AssemblyLoadContext.Default, AssemblyLoadContext.GetLoadContext(typeof(LibTorch).Assembly)!];
        foreach (var context in contexts.Distinct())
        {
            context.ResolvingUnmanagedDll += (_, name) => name is not ("LibTorchSharp" or "torch_cpu") ? 0
                : Native.Value is { Fault: { } fault } ? throw new DllNotFoundException(fault)
                : Native.Value.Binding;
        }
    }

    private static string? Start()
    {
        _ = typeof(torch).Assembly; // loaded by now, or what loads libtorch would begin within itself
        if (Native.Value.Fault is { } fault)
        {
            return fault;
        }

        try
        {
            // libtorch counts the machine's cores, also those that a container may not use.
            torch.set_num_threads(threads ?? Math.Min(torch.get_num_threads(), Environment.ProcessorCount));
            return null;
        }
        catch (TypeInitializationException exception)
        {
            return LibTorchPlan.Explain(TorchPlatform.Current, Named, (exception.InnerException ?? exception).Message);
        }
    }

    private static (nint Binding, string? Fault) LoadNative()
    {
        var platform = TorchPlatform.Current;
        var searched = ((string?)AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        var plan = LibTorchPlan.Make(
            platform,
            Named,
            Path.GetDirectoryName(typeof(torch).Assembly.Location),
            searched,
            File.Exists,
            (folder, pattern) => Directory.Exists(folder) ? Directory.GetDirectories(folder, pattern) : []);
        if (plan.Fault is not null)
        {
            return (0, plan.Fault);
        }

        try
        {
            foreach (var library in plan.Libraries)
            {
                NativeLibrary.Load(library);
            }

            return (LoadBinding(plan.Binding, platform), null);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            return (0, LibTorchPlan.Explain(platform, Named, exception.Message));
        }
    }

    private static nint LoadBinding(string path, TorchPlatform platform)
    {
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (DllNotFoundException) when (platform.System == "linux")
        {
            // The changed library lies in memory: a folder may be read-only, or take nothing that can be executed. Its descriptor stays open,
            // because the system's loader knows libraries by their paths.
            var library = File.ReadAllBytes(path);
            if (ElfVersions.Relax(library) && MemoryFile(Path.GetFileName(path), CloseInChildren) is >= 0 and var descriptor)
            {
                using var file = new SafeFileHandle(descriptor, ownsHandle: false);
                RandomAccess.Write(file, library, 0);
                return NativeLibrary.Load($"/proc/self/fd/{descriptor}");
            }

            throw;
        }
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
