using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;

namespace HeadScope.Notebooks.Session;

/// <summary>What every cell starts with: its references, usings and language version.</summary>
internal static class SessionDefaults
{
    private static readonly string[] Namespaces =
    [
        "System",
        "System.Collections.Generic",
        "System.Diagnostics",
        "System.Globalization",
        "System.IO",
        "System.Linq",
        "System.Numerics.Tensors",
        "System.Text",
        "System.Threading",
        "System.Threading.Tasks",
        "Microsoft.DotNet.Interactive.Formatting",
    ];

    // The parts of HeadScope that run notebooks rather than being used in them.
    private static readonly string[] Machinery = ["HeadScope.Notebooks.Kernel", "HeadScope.Notebooks.Running"];

    public static CSharpParseOptions Parsing { get; } = new(LanguageVersion.Latest, kind: SourceCodeKind.Script);

    public static ScriptOptions Options() => ScriptOptions.Default
        .WithLanguageVersion(LanguageVersion.Latest)
        .WithOptimizationLevel(OptimizationLevel.Release)
        .WithEmitDebugInformation(true)
        .WithFileEncoding(System.Text.Encoding.UTF8)
        .WithAllowUnsafe(true)
        .WithReferences(HostReferences())
        .WithImports([.. Namespaces, .. HeadScopeNamespaces(), typeof(NotebookGlobals).FullName!]);

    private static IEnumerable<string> HeadScopeNamespaces() =>
        new[] { typeof(Head).Assembly, typeof(SessionDefaults).Assembly }
            .SelectMany(assembly => assembly.GetExportedTypes())
            .Select(type => type.Namespace!)
            .Where(name => !Machinery.Contains(name, StringComparer.Ordinal))
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal);

    // A cell needs no #r for what the program itself runs on. The web server's assemblies would only slow the start; the compiler still
    // finds those when another assembly asks for them.
    private static IEnumerable<MetadataReference> HostReferences() =>
        HostAssemblies()
            .Where(path => !Path.GetFileName(path).StartsWith("Microsoft.AspNetCore.", StringComparison.Ordinal)
                || Path.GetFileName(path).StartsWith("Microsoft.AspNetCore.Html", StringComparison.Ordinal))
            .Select(path => MetadataReference.CreateFromFile(path, documentation: XmlDocumentation.Of(path)));

    /// <summary>The paths of everything that the running program can load.</summary>
    public static IEnumerable<string> HostAssemblies() =>
        ((string?)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Where(path => path.EndsWith(".dll", StringComparison.OrdinalIgnoreCase));
}
