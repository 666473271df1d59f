using Plotly.NET;

namespace HeadScope.Cli;

/// <summary>Figures in files: pages to explore and pictures for papers; the ending of the name says which.</summary>
internal static class FigureFile
{
    private static readonly string[] Pictures = [".svg", ".pdf", ".png"];

    /// <summary>The endings of files that hold figures.</summary>
    public static readonly string[] Endings = [".html", .. Pictures];

    /// <summary>Checks a file before the work begins.</summary>
    /// <param name="path">The file; null for none.</param>
    /// <param name="known">The endings that the verb can write.</param>
    /// <exception cref="UsageException">The ending is another.</exception>
    /// <exception cref="IOException">The file cannot be written, or there is no browser to draw a picture with.</exception>
    public static void Require(string? path, params IReadOnlyCollection<string> known)
    {
        if (path is null)
        {
            return;
        }

        if (!known.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
        {
            throw new UsageException($"--output {path}: expected a name that ends in {string.Join(" or ", known)}.");
        }

        if (Pictures.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase))
        {
            PaperBrowser.Require();
        }

        AtomicFile.RequireWritable(path);
    }

    /// <summary>Writes charts: all of them on a page, which needs no network, the first as a picture.</summary>
    /// <param name="path">The file.</param>
    /// <param name="title">The title of a page.</param>
    /// <param name="charts">The charts.</param>
    /// <param name="size">The size of a picture.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public static void Write(string path, string title, IReadOnlyList<GenericChart> charts, FigureSize size, CancellationToken cancellationToken)
    {
        if (Path.GetExtension(path).Equals(".html", StringComparison.OrdinalIgnoreCase))
        {
            AtomicFile.WriteText(path, ChartOutput.Page(title, charts));
        }
        else
        {
            charts[0].SavePaperAsync(path, size.WidthMm, size.HeightMm, size.Dpi, cancellationToken).GetAwaiter().GetResult();
        }
    }
}
