using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>Which relations share heads: the strongest heads of every relation, a row each, and their scores for all relations.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="headsPerRelation">How many heads each relation adds at most.</param>
    /// <param name="suppression">Whether suppression scores are shown instead of relation scores.</param>
    /// <param name="threshold">Lower scores are all shown in the palest colour, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No heads are asked for, or the threshold is not within 0 to 1.</exception>
    public static GenericChart RelationComparison(HeadMap map, int headsPerRelation = 2, bool suppression = false, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentOutOfRangeException.ThrowIfLessThan(headsPerRelation, 1);
        Head[] heads = [.. map.Top(headsPerRelation, suppression).Select(score => score.Head).Distinct().Order()];
        var scores = heads.Select(head => map.Relations.Select(relation => relation.Of(head, suppression)).ToArray()).ToArray();
        var end = ScaleEnd(scores.SelectMany(row => row).Select(score => score.Score));
        return Chart(
            [ScoreCells(scores, name => map[name], end, threshold, Kind(suppression))],
            Figure($"Relations and their heads, {PlotlyText.Escape(map.Model)}", Math.Clamp(map.Relations.Count * 30.0, 300, 1000) + 190, Math.Clamp(heads.Length * 22.0, 90, 900) + 240, new
            {
                xaxis = Labelled(null, [.. map.Relations.Select(relation => PlotlyText.Spoken(relation.Name))], angle: map.Relations.Count > 4 ? -90 : null),
                yaxis = Labelled("head", [.. heads.Select(head => head.ToString())], reversed: true).With(new { type = "linear" }),
            }),
            $"{(suppression ? "Suppression" : "Relation")} scores of the {heads.Length} heads of {map.Model} that are strongest for one of {map.Relations.Count} relations ({headsPerRelation} of each at most).{Below(threshold)}",
            CellRows(scores.Length));
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
                    cliponaxis = false, marker = Marker(new { color = ChartStyle.Palette[model], size = model == 0 ? 11 : 8, symbol = model == 0 ? "circle" : "diamond" }),
                }).Telling(rows.Select(row => $"{PlotlyText.Spoken(row.Relation)} in {PlotlyText.Escape(name)}<br>strongest head {row.Heads[model]}: {PlotlyText.Score(row.Scores[model])}"
                    + $"<br>{row.Strong[model]} heads from {PlotlyText.Number(threshold)} on").ToArray())),
            ],
            Figure("Strongest heads for each relation", 640, (rows.Length * 22) + 150, new
            {
                hovermode = "closest", xaxis = Axis("relation score of the strongest head", new { range = new[] { -0.02, 1.02 }, zeroline = false }),
                yaxis = Labelled(null, [.. rows.Select(row => PlotlyText.Spoken(row.Relation))], reversed: true).With(new { range = new[] { rows.Length - 0.5, -0.5 }, autorange = false }),
                shapes = new[]
                {
                    new Plotly.NET.LayoutObjects.Shape().With(new
                    {
                        type = "line", xref = "x", yref = "paper", x0 = threshold, x1 = threshold, y0 = 0, y1 = 1, layer = "below", line = Line(new { color = ChartStyle.Muted, width = 1, dash = "dot" }),
                    }),
                },
            }).LegendAbove(),
            $"Relation scores of the strongest heads of {names[0]} (circles) and {names[1]} (diamonds) for {rows.Length} relations; "
            + $"{shared} {(shared == 1 ? "relation reaches" : "relations reach")} {PlotlyText.Number(threshold)} (dotted) in both.",
            new PaperLayout(rows.Length, 3.5));
    }
}
