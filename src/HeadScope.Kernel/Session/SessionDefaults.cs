using System.Reflection.PortableExecutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;

namespace HeadScope.Notebooks.Session;

/// <summary>What every cell starts with: its references, usings and language version.</summary>
internal static class SessionDefaults
{
    // Without System.Diagnostics, which has a TraceOptions of its own.
    private static readonly string[] Namespaces =
    [
        "System",
        "System.Collections.Generic",
        "System.Globalization",
        "System.IO",
        "System.Linq",
        "System.Text",
        "System.Threading",
        "System.Threading.Tasks",
        "TorchSharp",
        "TorchSharp.torch",
        "Microsoft.DotNet.Interactive.Formatting",
        "HeadScope",
        "HeadScope.Notebooks.Session",
    ];

    public static CSharpParseOptions Parsing { get; } = new(LanguageVersion.Latest, kind: SourceCodeKind.Script);

    // All sessions of a process share the references, and with them what the compiler has read of their assemblies.
    private static readonly Lazy<ScriptOptions> Shared = new(Make);

    /// <summary>The options of a session's first script.</summary>
    /// <param name="extensions">What the host adds.</param>
    public static ScriptOptions Options(IEnumerable<SessionExtension> extensions) => Shared.Value.AddImports(
        extensions.SelectMany(e => e.Assembly.GetExportedTypes()).Select(type => type.Namespace!).Distinct(StringComparer.Ordinal)
            .Except(Namespaces, StringComparer.Ordinal).Order(StringComparer.Ordinal));

    /// <summary>An assembly for the compiler. Only its metadata is read: the code would be five times as much.</summary>
    /// <param name="path">The assembly's file.</param>
    public static MetadataReference Reference(string path) =>
        AssemblyMetadata.CreateFromStream(File.OpenRead(path), PEStreamOptions.PrefetchMetadata)
            .GetReference(XmlDocumentation.Of(path), filePath: path);

    private static ScriptOptions Make() => ScriptOptions.Default
        .WithLanguageVersion(LanguageVersion.Latest)
        .WithOptimizationLevel(OptimizationLevel.Release)
        .WithEmitDebugInformation(true)
        .WithFileEncoding(System.Text.Encoding.UTF8)
        .WithAllowUnsafe(true)
        .WithSourceResolver(new CellSourceResolver())
        .WithMetadataResolver(ScriptMetadataResolver.Default.WithBaseDirectory(Environment.CurrentDirectory))
        .WithReferences(HostReferences())
        .WithImports([.. Namespaces, typeof(NotebookGlobals).FullName!]);

    private static IEnumerable<MetadataReference> HostReferences() => HostAssemblies().Where(IsReferenced).Select(Reference);

    /// <summary>
    /// Whether cells see an assembly of the host without a <c>#r</c>: what the program itself runs on, but not the web server and its
    /// extensions, which would only slow the start, and not Microsoft's kernel, whose place this one takes.
    /// </summary>
    /// <param name="path">One of <see cref="HostAssemblies"/>.</param>
    public static bool IsReferenced(string path) =>
        Path.GetFileName(path) is var file
        && (!path.Contains("Microsoft.AspNetCore.App", StringComparison.Ordinal) || file.StartsWith("Microsoft.AspNetCore.Html", StringComparison.Ordinal))
        && file is not ("Microsoft.DotNet.Interactive.dll" or "Plotly.NET.Interactive.dll");

    /// <summary>The paths of everything that the running program can load.</summary>
    public static IEnumerable<string> HostAssemblies() =>
        ((string?)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Where(path => path.EndsWith(".dll", StringComparison.OrdinalIgnoreCase))
            .DistinctBy(path => Path.GetFileName(path), StringComparer.OrdinalIgnoreCase);
}
