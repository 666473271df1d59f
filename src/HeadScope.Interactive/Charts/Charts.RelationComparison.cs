using Plotly.NET;
using Plotly.NET.TraceObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>Which relations share heads: the strongest heads of every relation, and their scores for all of them.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="headsPerRelation">How many heads each relation adds at most.</param>
    /// <param name="suppression">Whether suppression scores are shown instead of relation scores.</param>
    /// <param name="threshold">Cells of lower scores are left blank, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No heads are asked for, or the threshold is not within 0 to 1.</exception>
    public static GenericChart RelationComparison(HeadMap map, int headsPerRelation = 2, bool suppression = false, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentOutOfRangeException.ThrowIfLessThan(headsPerRelation, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(threshold);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threshold, 1);
        Head[] heads = [.. map.Top(headsPerRelation, suppression).Select(score => score.Head).Distinct().Order()];
        var scores = map.Relations.Select(relation => heads.Select(head => relation.Of(head, suppression)).ToArray()).ToArray();
        return Chart(
            [
                HeatMap(new
                {
                    z = scores.Select(row => row.Select(score => score.Score >= threshold ? Finite(score.Score) : null).ToArray()).ToArray(),
                    text = scores.Select((row, i) => row.Select(score => Hover(map.Relations[i], score)).ToArray()).ToArray(), hovertemplate = "%{text}<extra></extra>", hoverongaps = true,
                    zmin = 0, zmax = ScaleEnd(scores.SelectMany(row => row).Select(score => score.Score)), colorscale = ChartStyle.Sequential,
                    colorbar = new ColorBar().With(new { title = Title(Kind(suppression)).With(new { side = "right" }) }), xgap = 1, ygap = 1,
                }),
            ],
            new Layout().With(new
            {
                title = Title($"Relations and their heads, {PlotlyText.Escape(map.Model)}"), width = (int)Math.Clamp(heads.Length * 30.0, 260, 1000) + 340,
                height = (int)Math.Clamp(scores.Length * 23.0, 90, 700) + 140,
                xaxis = Labelled("head (layer.head)", [.. heads.Select(head => head.ToString())], angle: heads.Length > 12 ? -90 : null).With(new { type = "linear" }),
                yaxis = Labelled(null, [.. map.Relations.Select(relation => PlotlyText.Spoken(relation.Name))], reversed: true),
            }),
            $"{(suppression ? "Suppression" : "Relation")} scores of the {heads.Length} heads of {map.Model} that are strongest for one of {scores.Length} relations ({headsPerRelation} of each at most)"
            + $"{(threshold > 0 ? $"; scores below {PlotlyText.Number(threshold)} are left blank" : "")}.",
            new PaperLayout(scores.Length, 3.5));
    }

    /// <summary>How strongly two models implement the same relations: the score of each model's strongest head, a row for each relation.</summary>
    /// <param name="first">The map of one model.</param>
    /// <param name="second">The map of the other.</param>
    /// <param name="threshold">A head counts as implementing a relation from this score on, 0 to 1.</param>
    /// <returns>The chart; the relation that is strongest in one of them is at the top.</returns>
    /// <exception cref="ArgumentException">A map is only a part, a relation was scored with different k, or the maps have no relation in common.</exception>
    public static GenericChart Comparison(HeadMap first, HeadMap second, double threshold = 0.3)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        (string Relation, double[] Scores, string[] Heads, int[] Strong)[] rows =
        [
            .. HeadScope.HeadMap.Compare(first, second, threshold).Rows.Select(row => (
                (string)row["relation"], new[] { (double)(float)row["first_score"], (float)row["second_score"] },
                new[] { (string)row["first_strongest_head"], (string)row["second_strongest_head"] }, new[] { (int)row["first_heads"], (int)row["second_heads"] }))
            .OrderByDescending(row => row.Item2.Max()),
        ];
        Fault.ArgumentIf(rows.Length == 0, $"The maps of {first.Model} and {second.Model} have no relation in common.");
        var names = Names(first, second);
        int[] places = [.. Enumerable.Range(0, rows.Length)];
        var shared = rows.Count(row => row.Strong.All(count => count > 0));
        return Chart(
            [
                // What joins the two of a relation; null ends a line.
                Scatter(new
                {
                    mode = "lines", x = rows.SelectMany(row => new double?[] { row.Scores[0], row.Scores[1], null }).ToArray(), y = places.SelectMany(i => new int?[] { i, i, null }).ToArray(),
                    line = Line(new { color = ChartStyle.Grid, width = 3 }), hoverinfo = "skip", showlegend = false,
                }),
                .. names.Select((name, model) => Scatter(new
                {
                    name = PlotlyText.Escape(name), mode = "markers", x = rows.Select(row => Finite(row.Scores[model])).ToArray(), y = places,
                    hovertext = rows.Select(row => $"{PlotlyText.Spoken(row.Relation)} in {PlotlyText.Escape(name)}<br>strongest head {row.Heads[model]}: {PlotlyText.Score(row.Scores[model])}"
                        + $"<br>{row.Strong[model]} heads from {PlotlyText.Number(threshold)} on").ToArray(),
                    hovertemplate = "%{hovertext}<extra></extra>", cliponaxis = false,
                    marker = Marker(new { color = ChartStyle.Palette[model], size = model == 0 ? 11 : 8, symbol = model == 0 ? "circle" : "diamond" }),
                })),
            ],
            new Layout().With(new
            {
                title = Title("Strongest heads for each relation"), width = 640, height = (rows.Length * 22) + 150, hovermode = "closest",
                legend = new Plotly.NET.LayoutObjects.Legend().With(new { orientation = "h", x = 0, y = 1.01, yanchor = "bottom" }), margin = new Plotly.NET.LayoutObjects.Margin().With(new { t = 84 }),
                xaxis = Axis(new { title = Title("relation score of the strongest head"), range = new[] { -0.02, 1.02 }, zeroline = false }),
                yaxis = Labelled(null, [.. rows.Select(row => PlotlyText.Spoken(row.Relation))], reversed: true).With(new { range = new[] { rows.Length - 0.5, -0.5 }, autorange = false }),
                shapes = new[]
                {
                    new Plotly.NET.LayoutObjects.Shape().With(new
                    {
                        type = "line", xref = "x", yref = "paper", x0 = threshold, x1 = threshold, y0 = 0, y1 = 1, layer = "below", line = Line(new { color = ChartStyle.Muted, width = 1, dash = "dot" }),
                    }),
                },
            }),
            $"Relation scores of the strongest heads of {names[0]} (circles) and {names[1]} (diamonds) for {rows.Length} relations; "
            + $"{shared} {(shared == 1 ? "relation reaches" : "relations reach")} {PlotlyText.Number(threshold)} (dotted) in both.",
            new PaperLayout(rows.Length, 3.5));
    }
}
