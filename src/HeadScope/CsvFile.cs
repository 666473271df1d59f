using System.Text;
using CsvHelper;

namespace HeadScope;

/// <summary>CSV files of this library: columns found by name, <c>#</c> lines as comments, errors with file and line.</summary>
internal sealed class CsvFile : IDisposable
{
    private static readonly CsvReaderOptions Options = new()
    {
        Separator = ',',
        CommentPrefix = '#',
        TrimWhitespace = true,
        TrackLineNumbers = true,
        MalformedData = CsvMalformedDataHandling.Throw,
    };

    private readonly CsvReader csv;
    private readonly string name;
    private readonly string[] columns;
    private readonly int[] indices;

    /// <param name="name">What errors call the file.</param>
    /// <param name="text">Its content.</param>
    /// <param name="columns">The columns to read.</param>
    /// <exception cref="InvalidDataException">There is no header, or a column is missing in it.</exception>
    public CsvFile(string name, string text, params string[] columns)
    {
        this.name = name;
        this.columns = columns;
        csv = CsvReader.FromText(text, Options);
        Guarded(csv.ReadHeader);
        if (csv.Headers.Count == 0)
        {
            throw new InvalidDataException($"{name} is empty: expected a line '{string.Join(',', columns)}' and lines of values after it.");
        }

        var header = csv.Headers.ToList();
        indices = [.. columns.Select(column => header.FindIndex(h => string.Equals(h, column, StringComparison.OrdinalIgnoreCase)))];
        if (Array.IndexOf(indices, -1) is >= 0 and var missing)
        {
            throw new InvalidDataException(
                $"{name}: no column '{columns[missing]}'; the header reads '{string.Join(',', header)}'. Expected '{string.Join(',', columns)}'.");
        }
    }

    /// <summary>The values of the columns, line by line.</summary>
    /// <exception cref="InvalidDataException">A value is missing, a line has more values than the header, or a quote is not closed.</exception>
    public IEnumerable<string[]> Rows()
    {
        while (Guarded(csv.Read))
        {
            if (csv.FieldCount > csv.Headers.Count)
            {
                throw new InvalidDataException(
                    $"{name}, line {csv.LineNumber}: '{Encoding.UTF8.GetString(csv.RawRecord)}' has {csv.FieldCount} values for "
                    + $"{csv.Headers.Count} columns. Put a value that holds a comma between quotes.");
            }

            yield return [.. indices.Select((index, i) => csv.GetString(index) is { Length: > 0 } value
                ? value
                : throw new InvalidDataException(
                    $"{name}, line {csv.LineNumber}: the {columns[i]} is missing in '{Encoding.UTF8.GetString(csv.RawRecord)}'."))];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => csv.Dispose();

    private void Guarded(Action read) => Guarded(() =>
    {
        read();
        return true;
    });

    private T Guarded<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (CsvFormatException e)
        {
            throw new InvalidDataException($"{name}, line {e.LineNumber}: a quote is not closed or stands inside a plain field.", e);
        }
    }
}
