using Plotly.NET;

namespace HeadScope.Cli;

/// <summary>Results that are written as JSON, CSV or a figure; the ending of the file's name says which.</summary>
internal static class ResultFiles
{
    /// <summary>Writes a result.</summary>
    /// <param name="path">The file; null for none.</param>
    /// <param name="json">The result as JSON.</param>
    /// <param name="csv">The result as CSV; null when the verb writes none.</param>
    /// <param name="output">Where is said what was written.</param>
    /// <param name="chart">The result as a chart; null when the verb draws none.</param>
    /// <param name="size">The size of a picture of the chart.</param>
    /// <param name="cancellationToken">Stops the drawing.</param>
    public static void Write(
        string? path, Func<string> json, Func<string>? csv, TextWriter output, Func<GenericChart>? chart = null, FigureSize? size = null, CancellationToken cancellationToken = default)
    {
        if (path is null)
        {
            return;
        }

        if (chart is not null && size is not null && FigureFile.Endings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
        {
            FigureFile.Write(path, Path.GetFileNameWithoutExtension(path), [chart()], size, cancellationToken);
            output.WriteLine($"Wrote {path}");
            return;
        }

        var asCsv = csv is not null && string.Equals(Path.GetExtension(path), ".csv", StringComparison.OrdinalIgnoreCase);
        AtomicFile.WriteText(path, asCsv ? csv!() : json());
        output.WriteLine($"Wrote {path}");
    }
}
