using System.Reflection;
using System.Text;

namespace HeadScope;

/// <summary>The words and templates of data/prompts, as they are embedded.</summary>
internal static class PromptWords
{
    /// <summary>The column <c>word</c> of a file.</summary>
    public static IReadOnlyList<string> Of(string file) => [.. Rows(file, "word").Select(row => row[0])];

    /// <summary>Columns of a file, row by row.</summary>
    public static IReadOnlyList<string[]> Rows(string file, params string[] columns)
    {
        var name = $"HeadScope.Prompts.{file}.csv";
        var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The library was built without its resource {name}.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        using var csv = new CsvFile($"{file}.csv", reader.ReadToEnd(), columns);
        return [.. csv.Rows()];
    }
}
