using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Security;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting.Hosting;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Answers <c>#r "nuget: Id, Version"</c>: restores the package with <c>dotnet restore</c> of a small project kept in the user's cache,
/// and loads what the restore chose for this platform.
/// </summary>
internal sealed class PackageReferences(InteractiveAssemblyLoader loader)
{
    // What the program itself runs on, by the names of its assemblies and of the packages that have other names.
    private static readonly Lazy<HashSet<string>> RunningIds = new(() =>
        SessionDefaults.HostAssemblies().Where(SessionDefaults.IsReferenced).Select(path => Path.GetFileNameWithoutExtension(path)).Append("TorchSharp-cpu")
            .ToHashSet(StringComparer.OrdinalIgnoreCase));

    private static readonly TimeSpan LongestRestore = TimeSpan.FromMinutes(10);

    private readonly Dictionary<string, string?> versions = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> loaded = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, string> native = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> running = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> extended = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<string> sources = [];
    private bool resolving;

    /// <summary>Restores packages and loads their assemblies.</summary>
    /// <param name="wanted">The packages of this cell; those of earlier cells are restored along, so that versions agree.</param>
    /// <param name="moreSources">Where to look for them too; kept for later cells.</param>
    /// <param name="output">Where to say what was installed.</param>
    /// <param name="cancellationToken">Stops the restore.</param>
    /// <returns>References for the compiler, and what the packages have for notebooks: the files <c>extension.dib</c> to run.</returns>
    /// <exception cref="InvalidOperationException">There is no .NET SDK, or the restore failed; the message holds its errors.</exception>
    public (IReadOnlyList<MetadataReference> References, IReadOnlyList<(string Id, string File)> Extensions) Add(
        IReadOnlyList<(string Id, string? Version)> wanted, IReadOnlyList<string> moreSources, CellOutput output, CancellationToken cancellationToken)
    {
        // A folder is meant from where the cell runs.
        sources.AddRange(moreSources.Select(s => s.Contains("://", StringComparison.Ordinal) ? s : Path.GetFullPath(s)).Except(sources, StringComparer.Ordinal));
        var fresh = wanted.Where(w => !IsRunning(w.Id)).ToList();
        foreach (var (id, version) in wanted.Except(fresh))
        {
            // Who names no version gets what was asked for, without a word.
            output.Write(OutputStream.Out, IsOfCuda(id) ? OtherLibtorch(id) : version is null ? "" : Running(id));
        }

        if (fresh.Count == 0)
        {
            return ([], []);
        }

        var asked = new Dictionary<string, string?>(versions, StringComparer.OrdinalIgnoreCase);
        foreach (var (id, version) in fresh)
        {
            asked[id] = version;
        }

        var assets = Restore(asked, sources, cancellationToken);
        foreach (var (id, version) in asked)
        {
            versions[id] = version;
        }

        using var document = JsonDocument.Parse(File.ReadAllBytes(assets));
        var (references, extensions) = Load(document.RootElement, output);
        foreach (var (id, _) in fresh)
        {
            var version = VersionOf(document.RootElement, id);
            output.Write(OutputStream.Out, version.Length == 0 || running.Contains(id) ? Running(id) : $"Installed {id}, {version}\n");
        }

        return (references, extensions);
    }

    private static string Running(string id) => $"{id}: the running version is used.\n";

    private static string OtherLibtorch(string id) =>
        $"{id}: a process holds only one libtorch, and the kernel has loaded its own; for a GPU start it with HEADSCOPE_LIBTORCH=FOLDER, the folder "
        + "of a libtorch 2.10 for CUDA.\n";

    // What the program itself runs on; a second libtorch would end the process.
    private static bool IsRunning(string id) =>
        RunningIds.Value.Contains(id) || IsOfCuda(id) || id.StartsWith("libtorch-cpu", StringComparison.OrdinalIgnoreCase);

    private static bool IsOfCuda(string id) =>
        id.StartsWith("TorchSharp-cuda", StringComparison.OrdinalIgnoreCase) || id.StartsWith("libtorch-cuda", StringComparison.OrdinalIgnoreCase);

    private static string Restore(Dictionary<string, string?> packages, List<string> sources, CancellationToken cancellationToken)
    {
        var lines = packages.OrderBy(p => p.Key, StringComparer.OrdinalIgnoreCase).Select(p =>
            $"    <PackageReference Include=\"{SecurityElement.Escape(p.Key)}\" Version=\"{SecurityElement.Escape(p.Value ?? "*")}\" />");
        var project = $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net{Environment.Version.Major}.0</TargetFramework>
                <RuntimeIdentifier>{RuntimeInformation.RuntimeIdentifier}</RuntimeIdentifier>
                <SelfContained>false</SelfContained>
                <UseAppHost>false</UseAppHost>
                <NuGetAudit>false</NuGetAudit>
                <RestoreAdditionalProjectSources>$(RestoreAdditionalProjectSources);{SecurityElement.Escape(string.Join(';', sources))}</RestoreAdditionalProjectSources>
                <ManagePackageVersionsCentrally>false</ManagePackageVersionsCentrally>
              </PropertyGroup>
              <ItemGroup>
                <FrameworkReference Include="Microsoft.AspNetCore.App" />
            {string.Join('\n', lines)}
              </ItemGroup>
            </Project>
            """;
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(project)))[..16];
        var folder = Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create),
            "headscope",
            "packages",
            key);
        var file = Path.Combine(folder, "packages.csproj");
        AtomicFile.WriteText(file, project);

        // Files of these names further up would otherwise change the restore.
        AtomicFile.WriteText(Path.Combine(folder, "Directory.Build.props"), "<Project />");
        AtomicFile.WriteText(Path.Combine(folder, "Directory.Build.targets"), "<Project />");
        AtomicFile.WriteText(Path.Combine(folder, "Directory.Packages.props"), "<Project />");

        var start = new ProcessStartInfo(DotnetHost(), ["restore", file, "--verbosity", "quiet", "-nologo"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = folder,
        };
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment.Remove("MSBUILD_EXE_PATH");
        start.Environment.Remove("MSBuildSDKsPath");
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            throw new InvalidOperationException(
                $"#r \"nuget: ...\" needs the .NET SDK, and '{start.FileName}' could not be started: {exception.Message}", exception);
        }

        using (process)
        using (var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
        {
            limit.CancelAfter(LongestRestore);
            process.StandardInput.Close();
            var said = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
            var complained = process.StandardError.ReadToEndAsync(CancellationToken.None);
            try
            {
                process.WaitForExitAsync(limit.Token).GetAwaiter().GetResult();
            }
            catch (OperationCanceledException stopped)
            {
                process.Kill(entireProcessTree: true);
                cancellationToken.ThrowIfCancellationRequested();
                throw new InvalidOperationException("The restore did not end within 10 minutes and was stopped.", stopped);
            }

            var assets = Path.Combine(folder, "obj", "project.assets.json");
            return process.ExitCode == 0 && File.Exists(assets)
                ? assets
                : throw new InvalidOperationException(
                    $"The packages could not be restored:\n{ErrorsOf(said.GetAwaiter().GetResult() + complained.GetAwaiter().GetResult())}");
        }
    }

    private static string ErrorsOf(string log)
    {
        var errors = log.Split('\n').Where(line => line.Contains("error", StringComparison.OrdinalIgnoreCase))
            .Select(line => line[Math.Max(0, line.IndexOf("error", StringComparison.OrdinalIgnoreCase))..].Trim())
            .Distinct(StringComparer.Ordinal).ToList();
        return errors.Count > 0 ? string.Join('\n', errors) : log.Trim();
    }

    private static string DotnetHost() =>
        Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host && File.Exists(host) ? host : "dotnet";

    private static string VersionOf(JsonElement assets, string id) =>
        assets.GetProperty("libraries").EnumerateObject()
            .Select(library => library.Name.Split('/'))
            .Where(name => name[0].Equals(id, StringComparison.OrdinalIgnoreCase))
            .Select(name => name[1])
            .FirstOrDefault("");

    private (List<MetadataReference> References, List<(string Id, string File)> Extensions) Load(JsonElement assets, CellOutput output)
    {
        var extensions = new List<(string Id, string File)>();
        var host = SessionDefaults.HostAssemblies().Select(Path.GetFileName).ToHashSet(StringComparer.OrdinalIgnoreCase);
        static bool IsAssembly(string file) => file.EndsWith(".dll", StringComparison.OrdinalIgnoreCase);
        bool IsOfHost(string file) => host.Contains(Path.GetFileName(file));
        var folders = assets.GetProperty("packageFolders").EnumerateObject().Select(f => f.Name).ToList();
        var libraries = assets.GetProperty("libraries");
        var target = assets.GetProperty("targets").EnumerateObject()
            .OrderByDescending(t => t.Name.Contains('/', StringComparison.Ordinal)).First();

        // Packages may be made for what the host has and cells do not see; the restore leaves such dependencies out.
        var references = SessionDefaults.HostAssemblies().Where(path => !SessionDefaults.IsReferenced(path) && loaded.Add(path))
            .Select(SessionDefaults.Reference).ToList();
        var managed = new List<string>();
        foreach (var package in target.Value.EnumerateObject())
        {
            if (!libraries.TryGetProperty(package.Name, out var library) || !library.TryGetProperty("path", out var path))
            {
                continue;
            }

            var folder = folders.Select(f => Path.Combine(f, path.GetString()!)).FirstOrDefault(Directory.Exists);
            if (folder is null)
            {
                continue;
            }

            IEnumerable<string> Files(string kind) => package.Value.TryGetProperty(kind, out var files)
                ? files.EnumerateObject().Select(f => Path.Combine(folder, f.Name)).Where(File.Exists)
                : [];

            var id = package.Name.Split('/')[0];
            if (!IsRunning(id))
            {
                foreach (var file in Files("native"))
                {
                    native.TryAdd(Path.GetFileName(file), file);
                }
            }

            var forNotebooks = Path.Combine(folder, "interactive-extensions", "dotnet");
            if (!IsRunning(id) && Directory.Exists(forNotebooks) && extended.Add(id))
            {
                if (File.Exists(Path.Combine(forNotebooks, "extension.dib")))
                {
                    extensions.Add((id, Path.Combine(forNotebooks, "extension.dib")));
                }
                else
                {
                    output.Write(OutputStream.Out, $"{id}: its extension for notebooks is compiled for .NET Interactive and needs Microsoft's kernel; here the package is a library.\n");
                }
            }

            // What the program itself runs on cannot be there twice.
            var assemblies = Files("compile").Where(IsAssembly).ToList();
            if (assemblies.Exists(IsOfHost))
            {
                running.Add(id);
            }

            references.AddRange(assemblies.Where(f => !IsOfHost(f) && loaded.Add(f)).Select(SessionDefaults.Reference));
            managed.AddRange(Files("runtime").Where(f => IsAssembly(f) && !IsOfHost(f)));
        }

        foreach (var file in managed.Where(f => loaded.Add("runtime:" + f)))
        {
            loader.RegisterDependency(AssemblyLoadContext.Default.LoadFromAssemblyPath(file));
        }

        if (native.Count > 0 && !resolving)
        {
            resolving = true;
            AssemblyLoadContext.Default.ResolvingUnmanagedDll += ResolveNative;
        }

        return (references, extensions);
    }

    private nint ResolveNative(Assembly assembly, string name)
    {
        string[] candidates = OperatingSystem.IsWindows() ? [name, name + ".dll"]
            : OperatingSystem.IsMacOS() ? [name, name + ".dylib", $"lib{name}.dylib", "lib" + name]
            : [name, name + ".so", $"lib{name}.so", "lib" + name];
        foreach (var candidate in candidates)
        {
            if (native.TryGetValue(candidate, out var path) && NativeLibrary.TryLoad(path, out var handle))
            {
                return handle;
            }
        }

        return 0;
    }
}
