using CsvHelper;

namespace HeadScope;

/// <summary>CSV files of this library: columns found by name, <c>#</c> lines as comments, errors with file and line.</summary>
internal static class CsvFile
{
    private static readonly CsvReaderOptions Options = new()
    {
        Separator = ',',
        CommentPrefix = '#',
        TrimWhitespace = true,
        TrackLineNumbers = true,
        MalformedData = CsvMalformedDataHandling.Throw,
    };

    /// <summary>The values of some columns, line by line.</summary>
    /// <param name="name">What errors call the file.</param>
    /// <param name="text">Its content.</param>
    /// <param name="columns">The columns to read.</param>
    /// <exception cref="InvalidDataException">There is no header, a column or a value is missing, a line has more values than the header, or a
    /// quote is not closed.</exception>
    public static List<string[]> Read(string name, string text, params string[] columns)
    {
        using var csv = CsvReader.FromText(text, Options);
        try
        {
            csv.ReadHeader();
            var (header, expected) = (csv.Headers.ToList(), string.Join(',', columns));
            Fault.InvalidDataIf(header.Count == 0, $"{name} is empty: expected a line '{expected}' and lines of values after it.");
            var indices = Array.ConvertAll(columns, column => header.FindIndex(h => string.Equals(h, column, StringComparison.OrdinalIgnoreCase)));
            var lacking = Array.IndexOf(indices, -1);
            Fault.InvalidDataIf(lacking >= 0,
                $"{name}: no column '{columns[lacking]}'; the header reads '{string.Join(',', header)}'. Expected '{expected}'.");
            var rows = new List<string[]>();
            while (csv.Read())
            {
                Fault.InvalidDataIf(csv.FieldCount > header.Count,
                    $"{name}, line {csv.LineNumber}: '{Encoding.UTF8.GetString(csv.RawRecord)}' has {csv.FieldCount} values for "
                    + $"{header.Count} columns. Put a value that holds a comma between quotes.");
                string[] row = [.. indices.Select(index => csv.GetString(index) ?? "")];
                lacking = Array.IndexOf(row, "");
                Fault.InvalidDataIf(lacking >= 0,
                    $"{name}, line {csv.LineNumber}: the {columns[lacking]} is missing in '{Encoding.UTF8.GetString(csv.RawRecord)}'.");
                rows.Add(row);
            }

            return rows;
        }
        catch (CsvFormatException e)
        {
            throw new InvalidDataException($"{name}, line {e.LineNumber}: a quote is not closed or stands inside a plain field.", e);
        }
    }
}
