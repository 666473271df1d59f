using CsvHelper;

namespace HeadScope;

/// <summary>Tables as CSV: a header and a line for each row, numbers in the form that reads back exactly.</summary>
internal static class CsvTable
{
    private static readonly CsvWriterOptions Options = new() { NewLine = "\n" };

    /// <summary>Writes a table. (<c>DataFrame.SaveCsv</c> writes ASCII, and the decimal comma of the current culture.)</summary>
    public static string Write(DataFrame table)
    {
        var text = new StringWriter();
        using (var csv = CsvWriter.Create(text, Options))
        {
            foreach (var row in table.Rows.Prepend<IEnumerable<object?>>(table.Columns.Select(column => column.Name)))
            {
                foreach (var value in row)
                {
                    csv.WriteField(value);
                }

                csv.EndRecord();
            }
        }

        return text.ToString();
    }
}
