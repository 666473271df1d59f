using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>Whether heads do what their parameters say they could: dynamic against static scores of one relation, with Pearson's r (MAPS, section 4.2)
    /// and the line of least squares.</summary>
    /// <param name="scores">The scores.</param>
    /// <param name="context">Whether the dynamic scores are those with context.</param>
    /// <param name="suppression">Whether suppression scores are shown instead of relation scores.</param>
    /// <param name="labels">How many heads are named in the chart at most: those of the highest scores whose names have room.</param>
    /// <returns>The chart; a point for every head and template, points of one place as one larger point.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A negative number of heads is to be named.</exception>
    public static GenericChart DynamicStatic(DynamicScores scores, bool context = false, bool suppression = false, int labels = 5)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentOutOfRangeException.ThrowIfNegative(labels);
        var all = scores.Table.Rows.Select(row => (
            Head: new Head((int)row["layer"], (int)row["head"]), Template: (string)row["template"],
            X: (double)(float)row[suppression ? "static_suppression" : "static_score"],
            Y: (double)(float)row[$"{(suppression ? "suppression" : "score")}_{(context ? "with" : "without")}_context"])).ToArray();
        var points = all.Where(point => double.IsFinite(point.X) && double.IsFinite(point.Y)).ToArray();
        var places = points.GroupBy(point => (point.X, point.Y)).OrderByDescending(place => place.Count()).ToArray();

        // As far as names have room: a tenth of the plot from each other, each head once.
        var named = new List<(Head Head, double X, double Y)>();
        foreach (var point in points.OrderByDescending(point => point.X + point.Y))
        {
            if (named.Count < labels && point.X + point.Y > 0 && named.TrueForAll(other => other.Head != point.Head && (Math.Abs(other.X - point.X) > 0.12 || Math.Abs(other.Y - point.Y) > 0.1)))
            {
                named.Add((point.Head, point.X, point.Y));
            }
        }

        var (kind, r) = (Kind(suppression), scores.Correlate(context, suppression));
        var line = points.Length > 1 ? LeastSquares([.. points.Select(point => (point.X, point.Y))]) : null;
        double[] range = [-0.03, 1.03];
        return Chart(
            [
                .. line is null ? [] : new[] { Scatter(new { mode = "lines", x = line.Value.X, y = line.Value.Y, line = Line(new { color = ChartStyle.Palette[1], width = 1.5 }), hoverinfo = "skip", showlegend = false }) },
                Scatter(new
                {
                    mode = "markers", x = places.Select(place => place.Key.X).ToArray(), y = places.Select(place => place.Key.Y).ToArray(), cliponaxis = false, showlegend = false,
                    text = places.Select(place => $"head {string.Join(", ", place.Select(point => point.Head).Distinct().Take(6))}{(place.Select(point => point.Head).Distinct().Count() > 6 ? ", …" : "")}"
                        + $"<br>{PlotlyText.Count(place.Count())} of {PlotlyText.Count(points.Length)} heads and templates"
                        + (scores.Templates.Count > 1 && place.Count() == 1 ? $"<br>{PlotlyText.Escape(place.First().Template)}" : "")).ToArray(),
                    hovertemplate = $"%{{text}}<br>static {kind} %{{x:.3f}}<br>dynamic {kind} %{{y:.3f}}<extra></extra>",
                    marker = Marker(new { color = ChartStyle.Palette[0], size = places.Select(place => Math.Round(6 + Math.Min(8, 2 * Math.Log2(place.Count())), 1)).ToArray(), opacity = 0.7, line = Line(new { width = 0 }) }),
                }),
                Texts(named.Select(point => (point.X, point.Y, $"\u2007{point.Head}\u2007")), "middle right", Font(new { })),
            ],
            Figure($"{PlotlyText.Spoken(scores.Relation)}, {(context ? "with" : "without")} context", 520, 480, new
            {
                hovermode = "closest", xaxis = Axis($"static {kind}", new { zeroline = false, showline = true, range }),
                yaxis = Axis($"dynamic {kind}", new { zeroline = false, showline = true, range = range.ToArray() }), annotations = new[] { Note(PlotlyText.Escape(r.ToString()), 0, 1.01, "left") },
            }),
            $"Dynamic against static {kind}s for {scores.Relation}, {(context ? "with" : "without")} context: {r}; a point for each head and template ({points.Length}, in {places.Length} places; larger points are several)"
            + $"{(points.Length < all.Length ? $"; {all.Length - points.Length} that were not scored are left out" : "")}. Highest: {string.Join(", ", named.Select(point => $"{point.Head} ({PlotlyText.Score(point.X)}, {PlotlyText.Score(point.Y)})"))}.",
            new PaperLayout(Ratio: 0.75));
    }

    // The ends of the line through the middle of the points; null where all have one x.
    private static (double[] X, double[] Y)? LeastSquares((double X, double Y)[] points)
    {
        var (x, y) = (points.Average(point => point.X), points.Average(point => point.Y));
        var spread = points.Sum(point => (point.X - x) * (point.X - x));
        double[] ends = [points.Min(point => point.X), points.Max(point => point.X)];
        return spread == 0 ? null : (ends, [.. ends.Select(end => y + (points.Sum(point => (point.X - x) * (point.Y - y)) / spread * (end - x)))]);
    }
}
