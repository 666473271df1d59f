using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Scripting;

namespace HeadScope.Notebooks.Session;

/// <summary>Finds the files of <c>#load</c>: relative to the folder that the program was started in, or to the file that loads another.
/// The names of cells stay as they are, where the compiler's own resolver would make paths of them.</summary>
internal sealed class CellSourceResolver : SourceReferenceResolver
{
    private readonly ScriptSourceResolver files = ScriptSourceResolver.Default.WithBaseDirectory(Environment.CurrentDirectory);

    public override string NormalizePath(string path, string? baseFilePath) =>
        Path.IsPathRooted(path) ? files.NormalizePath(path, baseFilePath) ?? path : path;

    public override string? ResolveReference(string path, string? baseFilePath) =>
        files.ResolveReference(path, Path.IsPathRooted(baseFilePath) ? baseFilePath : null);

    public override Stream OpenRead(string resolvedPath) => files.OpenRead(resolvedPath);

    public override bool Equals(object? other) => other is CellSourceResolver resolver && files.Equals(resolver.files);

    public override int GetHashCode() => files.GetHashCode();
}
