using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text;

namespace HeadScope;

/// <summary>Records as an HTML table that a click on a column's head sorts. Every text is escaped.</summary>
public static class HtmlTable
{
    /// <summary>How many rows a table shows at most; the rest is counted below it.</summary>
    public const int MostRows = 500;

    // Handlers stand in the markup, because a notebook may keep the table and drop its scripts; it can then still be read.
    private const string Sort =
        "var h=this,t=h.closest('table'),b=t.tBodies[0],i=h.cellIndex,d=h.getAttribute('aria-sort')!=='descending';"
        + "Array.prototype.forEach.call(h.parentElement.cells,function(c){c.removeAttribute('aria-sort')});"
        + "h.setAttribute('aria-sort',d?'descending':'ascending');"
        + "Array.prototype.slice.call(b.rows).sort(function(x,y){var p=x.cells[i].dataset.v,q=y.cells[i].dataset.v;"
        + "var r=p!==undefined&&q!==undefined?p-q:x.cells[i].textContent.localeCompare(y.cells[i].textContent);return d?-r:r})"
        + ".forEach(function(r){b.appendChild(r)})";

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
    /// <param name="rows">The rows, one value for each column; numbers are sorted as numbers.</param>
    /// <returns>The HTML.</returns>
    public static string Of(IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<object?>> rows)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(rows);
        var html = new StringBuilder("<table><thead><tr>");
        foreach (var column in columns)
        {
            html.Append($"<th style=\"cursor:pointer;text-align:left\" title=\"sort\" onclick=\"{Sort.Replace("\"", "&quot;", StringComparison.Ordinal)}\">{WebUtility.HtmlEncode(column)}</th>");
        }

        html.Append("</tr></thead><tbody>");
        foreach (var row in rows.Take(MostRows))
        {
            html.Append("<tr>");
            foreach (var value in row)
            {
                html.Append(Cell(value));
            }

            html.Append("</tr>");
        }

        html.Append("</tbody></table>");
        if (rows.Count > MostRows)
        {
            html.Append(CultureInfo.InvariantCulture, $"<p>… and {rows.Count - MostRows} rows more</p>");
        }

        return html.ToString();
    }

    private static bool IsSimple(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type.IsPrimitive || type.IsEnum || type == typeof(string) || type == typeof(Head) || type == typeof(decimal);
    }

    private static string Cell(object? value) => value switch
    {
        null => "<td></td>",
        Head head => string.Create(CultureInfo.InvariantCulture, $"<td style=\"text-align:left\" data-v=\"{(head.Layer * 1e5) + head.Index}\">{head}</td>"),
        double or float => Number(Convert.ToDouble(value, CultureInfo.InvariantCulture), "G4"),
        int or long or short or byte or uint or ulong => Number(Convert.ToDouble(value, CultureInfo.InvariantCulture), "#,0"),
        _ => $"<td style=\"text-align:left;white-space:pre-wrap\">{WebUtility.HtmlEncode(Convert.ToString(value, CultureInfo.InvariantCulture))}</td>",
    };

    private static string Number(double value, string format) => string.Create(
        CultureInfo.InvariantCulture, $"<td style=\"text-align:right\" data-v=\"{value:R}\">{value.ToString(format, CultureInfo.InvariantCulture)}</td>");

    /// <summary><c>RelationScore</c> becomes <c>relation score</c>.</summary>
    private static string Spoken(string name) => string.Concat(name.Select((letter, i) =>
        char.IsUpper(letter) && i > 0 && !char.IsUpper(name[i - 1]) ? " " + char.ToLowerInvariant(letter) : char.ToLowerInvariant(letter).ToString()));
}
