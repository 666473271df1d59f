using CsvHelper;

namespace HeadScope;

/// <summary>Results as tables, and tables as CSV.</summary>
internal static class ResultTable
{
    private static readonly CsvWriterOptions Options = new() { NewLine = "\n" };

    /// <summary>A table with a row for each item and a column for each property of what is told of it:
    /// <c>ResultTable.Of(heads, h => new { layer = h.Layer, head = h.Index })</c>. What is neither number nor truth is written as text.</summary>
    public static DataFrame Of<T, TRow>(IEnumerable<T> items, Func<T, TRow> told)
    {
        var rows = items.Select(told).ToArray();
        return new([.. typeof(TRow).GetProperties().Select(property =>
        {
            var (name, values) = (property.Name, rows.Select(row => property.GetValue(row)));
            return (DataFrameColumn)((Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType) switch
            {
                var type when type == typeof(int) => new Int32DataFrameColumn(name, values.Cast<int?>()),
                var type when type == typeof(long) => new Int64DataFrameColumn(name, values.Cast<long?>()),
                var type when type == typeof(float) => new SingleDataFrameColumn(name, values.Cast<float?>()),
                var type when type == typeof(double) => new DoubleDataFrameColumn(name, values.Cast<double?>()),
                var type when type == typeof(bool) => new BooleanDataFrameColumn(name, values.Cast<bool?>()),
                _ => new StringDataFrameColumn(name, values.Select(value => value?.ToString())),
            });
        })]);
    }

    /// <summary>A header and a line for each row, numbers in the form that reads back exactly. (<c>DataFrame.SaveCsv</c> writes ASCII, and the
    /// decimal comma of the current culture.)</summary>
    public static string ToCsv(this DataFrame table)
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
