using System.Text;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Session;

/// <summary>The cells of a file that <c>#!import</c> names.</summary>
internal static class CellImport
{
    /// <summary>Reads them.</summary>
    /// <param name="file">A notebook, of which the cells of code count, or a file of C# or of .NET Interactive's cells, which is one.</param>
    /// <returns>Names for errors, and the code.</returns>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    /// <exception cref="InvalidDataException">It is no notebook, though it is called one.</exception>
    /// <exception cref="NotSupportedException">Its ending is another.</exception>
    public static IReadOnlyList<(string Name, string Code)> Read(string file)
    {
        var name = Path.GetFileName(file);
        switch (Path.GetExtension(file).ToLowerInvariant())
        {
            case ".ipynb":
                return [.. NotebookFile.Read(file).Cells.OfType<JsonObject>().Where(cell => (string?)cell["cell_type"] == "code")
                    .Select((cell, i) => (FormattableString.Invariant($"{name}, cell {i + 1}"), NotebookFile.Joined(cell["source"])))];
            case ".cs" or ".csx" or ".dib":
                return File.Exists(file) ? [(name, File.ReadAllText(file, Encoding.UTF8))] : throw new FileNotFoundException($"{file}, which #!import names, is not there.", file);
            default:
                throw new NotSupportedException($"#!import {file}: expected a file that ends in .ipynb, .cs, .csx or .dib.");
        }
    }
}
