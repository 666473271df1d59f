using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text;
using Microsoft.Data.Analysis;
using Newtonsoft.Json;

namespace HeadScope;

/// <summary>Tables as HTML: a click on a column's head sorts, long ones turn pages, spaces at the ends of tokens can be seen. Every text is escaped.</summary>
public static class HtmlTable
{
    /// <summary>How many rows a page shows.</summary>
    public const int PageRows = 25;

    /// <summary>How many rows a table takes along at most; the rest is counted below it.</summary>
    public const int MostRows = 20_000;

    /// <summary>Shows a table of results.</summary>
    /// <param name="table">The table.</param>
    /// <returns>The HTML.</returns>
    public static string Of(DataFrame table)
    {
        ArgumentNullException.ThrowIfNull(table);
        return Of([.. table.Columns.Select(column => column.Name.Replace('_', ' '))], [.. table.Rows.Take(MostRows).Select(row => (IReadOnlyList<object?>)[.. row])], table.Rows.Count);
    }

    /// <summary>Shows the public properties of records that hold a number, a text, a head or another simple value.</summary>
    /// <param name="rows">The records.</param>
    /// <typeparam name="T">Their type.</typeparam>
    /// <returns>The HTML.</returns>
    public static string Of<T>(IEnumerable<T> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        PropertyInfo[] properties = [.. typeof(T).GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetIndexParameters().Length == 0 && IsSimple(p.PropertyType))];
        return Of(
            [.. properties.Select(property => Spoken(property.Name))],
            [.. rows.Select(row => (IReadOnlyList<object?>)[.. properties.Select(property => property.GetValue(row))])]);
    }

    /// <summary>Shows rows of values.</summary>
    /// <param name="columns">The heads of the columns.</param>
    /// <param name="rows">The rows, one value for each column; numbers are sorted as numbers, heads as 3.9 before 3.10.</param>
    /// <param name="count">How many rows there are in all; null where these are all.</param>
    /// <returns>The HTML.</returns>
    public static string Of(IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<object?>> rows, long? count = null)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(rows);
        var numeric = columns.Select((_, c) => rows.Any(row => IsNumber(row[c])) && rows.All(row => row[c] is null || IsNumber(row[c]))).ToArray();
        var texts = rows.Take(MostRows).Select(row => row.Select(Cell).ToArray()).ToArray();
        var html = new StringBuilder("<table><thead><tr>");
        for (var c = 0; c < columns.Count; c++)
        {
            html.Append($"<th style=\"text-align:{Side(c)}\">{WebUtility.HtmlEncode(Seen(columns[c]))}</th>");
        }

        // What is seen without scripts: the first page.
        html.Append("</tr></thead><tbody>");
        foreach (var row in texts.Take(PageRows))
        {
            html.Append("<tr>").AppendJoin("", row.Select((text, c) => $"<td style=\"text-align:{Side(c)};white-space:pre-wrap\">{WebUtility.HtmlEncode(text)}</td>")).Append("</tr>");
        }

        html.Append("</tbody></table>");
        var all = Math.Max(count ?? 0, rows.Count);
        if (all > PageRows)
        {
            html.Append(CultureInfo.InvariantCulture, $"<p>rows 1 to {PageRows} of {all:#,0}{(all > texts.Length ? $"; {texts.Length:#,0} can be seen here" : "")}</p>");
        }

        // Numbers are sorted by their value, which the text rounds.
        var keys = numeric.Select((isNumber, c) => isNumber ? rows.Take(MostRows).Select(row => Value(row[c])).ToArray() : null);
        var data = JsonConvert.SerializeObject(new { rows = texts, keys, page = PageRows }, ChartOutput.Safe);
        var id = ChartOutput.IdOf(data);
        return texts.Length < 2
            ? html.ToString()
            : $"<div class=\"{id}\">{html}<script type=\"application/json\">{data}</script></div>\n{ChartOutput.Run("table.js", ("id", $"\"{id}\""))}\n";

        string Side(int column) => numeric[column] ? "right" : "left";
    }

    /// <summary>The first rows as plain text, in columns as wide as what stands in them.</summary>
    internal static string Plain(DataFrame table)
    {
        var texts = table.Rows.Take(PageRows).Select(row => row.Select(Cell).ToArray()).Prepend([.. table.Columns.Select(column => Seen(column.Name.Replace('_', ' ')))]).ToArray();
        var widths = table.Columns.Select((_, c) => texts.Max(row => row[c].Length)).ToArray();
        var numeric = table.Columns.Select(column => column.IsNumericColumn()).ToArray();
        var lines = texts.Select(row => string.Join("  ", row.Select((text, c) => numeric[c] ? text.PadLeft(widths[c]) : text.PadRight(widths[c]))).TrimEnd());
        return string.Join('\n', table.Rows.Count > PageRows ? lines.Append($"rows 1 to {PageRows} of {PlotlyText.Count(table.Rows.Count)}") : lines);
    }

    /// <summary>A text whose spaces at the ends, line breaks and tabs can be seen.</summary>
    internal static string Seen(string text)
    {
        var (start, end) = (text.Length - text.TrimStart(' ').Length, text.TrimEnd(' ').Length);
        return (end <= start ? new string('·', text.Length) : new string('·', start) + text[start..end] + new string('·', text.Length - end))
            .Replace("\r", "", StringComparison.Ordinal).Replace("\n", "↵", StringComparison.Ordinal).Replace("\t", "⇥", StringComparison.Ordinal);
    }

    private static bool IsSimple(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type.IsPrimitive || type.IsEnum || type == typeof(string) || type == typeof(Head) || type == typeof(decimal);
    }

    private static bool IsNumber(object? value) => value is double or float or Half or decimal or int or long or short or byte or uint or ulong;

    private static double? Value(object? value) => value is null ? null : Convert.ToDouble(value, CultureInfo.InvariantCulture) is var number && double.IsFinite(number) ? number : null;

    private static string Cell(object? value) => value switch
    {
        null => "",
        double or float or Half => PlotlyText.Number(Convert.ToDouble(value, CultureInfo.InvariantCulture)),
        _ when IsNumber(value) => ((IFormattable)value).ToString("#,0.####", CultureInfo.InvariantCulture),
        _ => Seen(Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""),
    };

    /// <summary><c>RelationScore</c> becomes <c>relation score</c>.</summary>
    private static string Spoken(string name) => string.Concat(name.Select((letter, i) =>
        char.IsUpper(letter) && i > 0 && !char.IsUpper(name[i - 1]) ? " " + char.ToLowerInvariant(letter) : char.ToLowerInvariant(letter).ToString()));
}
