using Plotly.NET;

namespace HeadScope.Cli;

/// <summary>The files that a head map is written to; the ending of the name says which kind.</summary>
internal static class HeadMapFiles
{
    /// <summary>Checks a file before the work begins.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UsageException">Its ending is of no known kind.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Require(string path) => FigureFile.Require(path, [".json", ".csv", .. FigureFile.Endings]);

    /// <summary>Writes a map.</summary>
    /// <param name="map">The map.</param>
    /// <param name="paths">The files.</param>
    /// <param name="size">The size of pictures.</param>
    /// <param name="output">Where is said what was written.</param>
    /// <param name="cancellationToken">Stops before the next file.</param>
    public static void Write(HeadMap map, IReadOnlyList<string> paths, FigureSize size, TextWriter output, CancellationToken cancellationToken)
    {
        foreach (var path in paths)
        {
            cancellationToken.ThrowIfCancellationRequested();
            switch (Path.GetExtension(path).ToLowerInvariant())
            {
                case ".json":
                    AtomicFile.WriteText(path, map.ToJson());
                    break;
                case ".csv":
                    AtomicFile.WriteText(path, map.ToCsv());
                    break;
                default:
                    GenericChart[] charts = map.Relations.Count > 1 ? [Charts.HeadMap(map), Charts.RelationComparison(map)] : [Charts.HeadMap(map)];
                    FigureFile.Write(path, $"Head map of {map.Model}", charts, size, cancellationToken);
                    break;
            }

            output.WriteLine($"Wrote {path}");
        }
    }
}
