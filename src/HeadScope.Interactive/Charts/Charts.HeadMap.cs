using Plotly.NET;
using Plotly.NET.LayoutObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>
    /// Which heads implement which relation (MAPS): relation scores on the left, suppression scores on the right, one relation at a time, chosen in
    /// the menu above; the first view, which is also the one on paper, shows for every head its strongest relation. Hovering shows the score, the
    /// number of pairs and examples of them.
    /// </summary>
    /// <param name="map">The scores.</param>
    /// <param name="threshold">Lower scores are all shown in the palest colour, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not within 0 to 1.</exception>
    public static GenericChart HeadMap(HeadMap map, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        var several = map.Relations.Count > 1;
        (string Name, Func<Head, bool, HeadScore> Of)[] views =
        [
            ("strongest relation of each head", (head, suppression) => map.Relations.Select(relation => relation.Of(head, suppression)).MaxBy(score => score.Score)),
            .. map.Relations.Select(relation => (PlotlyText.Spoken(relation.Name), (Func<Head, bool, HeadScore>)relation.Of)),
        ];
        views = several ? views : views[1..];
        return Maps(
            [.. views.SelectMany((view, i) => new[] { false, true }.Select(suppression => new Scores(Kind(suppression), map.LayerCount, map.HeadCount, head => view.Of(head, suppression), name => map[name], Shown: i == 0)))],
            several ? $"Heads of {PlotlyText.Escape(map.Model)}" : $"{PlotlyText.Spoken(map.Relations[0].Name)}, {PlotlyText.Escape(map.Model)}",
            $"Relation and suppression scores of {map.LayerCount} × {map.HeadCount} heads of {map.Model} for "
            + $"{(several ? $"{map.Relations.Count} relations; first each head's strongest" : map.Relations[0].Name)}, from the parameters alone (MAPS). "
            + "A score is the share of pairs whose target is among the k tokens that the head promotes, or suppresses, most. Strongest: "
            + string.Join("; ", map.Top(1).OrderByDescending(score => score.Score).Take(5).Select(score => $"head {score.Head} for {score.Relation} ({PlotlyText.Score(score.Score)})")) + ".",
            ScaleEnd(map.Relations.SelectMany(scores => AllScores(scores, false, true))),
            threshold,
            several ? Menu([.. views.Select((view, chosen) => (view.Name, views.SelectMany((_, i) => new[] { i == chosen, i == chosen }).ToArray()))]) : null);
    }

    /// <summary>The scores of all heads for one relation, as a paper shows them.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="relation">The name of the relation.</param>
    /// <param name="suppression">Whether the suppression scores are shown instead of the relation scores.</param>
    /// <param name="threshold">Lower scores are all shown in the palest colour, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentException">The map has no such relation.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not within 0 to 1.</exception>
    public static GenericChart HeadMap(HeadMap map, string relation, bool suppression = false, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(relation);
        return OneRelation(map[relation], [suppression], $"{PlotlyText.Spoken(map[relation].Name)}, {PlotlyText.Escape(map.Model)}", $" of {map.Model}", threshold);
    }

    /// <summary>One head over all relations: how strongly it implements each of them, and how strongly it suppresses their targets; the strongest
    /// relation at the top.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="head">The head.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The model has no such head.</exception>
    /// <exception cref="ArgumentException">The head is in another part of the map.</exception>
    public static GenericChart HeadMap(HeadMap map, Head head)
    {
        ArgumentNullException.ThrowIfNull(map);
        var scores = map.Relations.Select(relation => (Relation: relation, Promoted: relation.Of(head), Suppressed: relation.Of(head, suppression: true)))
            .OrderByDescending(row => Math.Max(row.Promoted.Score, row.Suppressed.Score)).ToArray();
        Fault.ArgumentIf(scores[0].Promoted.Hits < 0, $"Head {head} was not scored in this part of the map of {map.Model}; merge the parts first.");
        return Chart(
            new[] { false, true }.Select(suppression =>
            {
                HeadScore[] shown = [.. scores.Select(row => suppression ? row.Suppressed : row.Promoted)];
                return Bars(shown.Select(score => (double)score.Score), [.. shown.Select((score, i) => Hover(scores[i].Relation, score))], new
                {
                    name = Kind(suppression), marker = Marker(new { color = ChartStyle.Palette[suppression ? 1 : 0] }),
                });
            }),
            Figure($"Head {head} of {PlotlyText.Escape(map.Model)}", 640, (scores.Length * 26) + 150, new
            {
                barmode = "group", bargap = 0.3, xaxis = Axis("share of pairs (score)", new { range = new[] { 0, 1.02 }, zeroline = true }),
                yaxis = Labelled(null, [.. scores.Select(row => PlotlyText.Spoken(row.Relation.Name))], reversed: true),
            }).LegendAbove(),
            $"Scores of head {head} of {map.Model} for {scores.Length} relations: "
            + string.Join(", ", scores.Take(3).Select(row => $"{row.Relation.Name} (relation {PlotlyText.Score(row.Promoted.Score)}, suppression {PlotlyText.Score(row.Suppressed.Score)})")) + (scores.Length > 3 ? ", …" : "."),
            new PaperLayout(scores.Length, 4));
    }

    /// <summary>One relation in two models, or in one before and after a change: two maps side by side with the same colours.</summary>
    /// <param name="first">The one map.</param>
    /// <param name="second">The other; its model may have other layers and heads.</param>
    /// <param name="relation">The name of the relation.</param>
    /// <param name="suppression">Whether the suppression scores are shown instead of the relation scores.</param>
    /// <param name="threshold">Lower scores are all shown in the palest colour, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentException">A map has no such relation.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not within 0 to 1.</exception>
    public static GenericChart HeadMaps(HeadMap first, HeadMap second, string relation, bool suppression = false, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        ArgumentNullException.ThrowIfNull(relation);
        (HeadMap Map, RelationScores Scores, string Name)[] both = [.. new[] { first, second }.Zip(Names(first, second), (map, name) => (map, map[relation], name))];
        return Maps(
            [.. both.Select(one => new Scores(PlotlyText.Escape(one.Name), one.Map.LayerCount, one.Map.HeadCount, head => one.Scores.Of(head, suppression), _ => one.Scores))],
            $"{PlotlyText.Spoken(both[0].Scores.Name)}, {Kind(suppression)}",
            $"{Kind(suppression)}s for {both[0].Scores.Name}: " + string.Join("; ", both.Select(one => $"{one.Name}, {Strongest(one.Scores, suppression)} (k = {one.Scores.K})")) + ".",
            ScaleEnd(both.SelectMany(one => AllScores(one.Scores, suppression))),
            threshold,
            colorTitle: Kind(suppression));
    }

    /// <summary>The scores of all heads for one relation: relation scores on the left, suppression scores on the right.</summary>
    /// <param name="scores">The scores.</param>
    /// <param name="threshold">Lower scores are all shown in the palest colour, 0 to 1.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not within 0 to 1.</exception>
    public static GenericChart RelationScores(RelationScores scores, double threshold = 0)
    {
        ArgumentNullException.ThrowIfNull(scores);
        return OneRelation(scores, [false, true], PlotlyText.Spoken(scores.Name), "", threshold);
    }

    private static GenericChart OneRelation(RelationScores scores, bool[] signs, string title, string of, double threshold) => Maps(
        [.. signs.Select(suppression => new Scores(Kind(suppression), scores.LayerCount, scores.HeadCount, head => scores.Of(head, suppression), _ => scores))],
        title,
        $"{scores.LayerCount} × {scores.HeadCount} heads{of} for {scores.Name} (k = {scores.K}): {string.Join("; ", signs.Select(suppression => $"{Kind(suppression)}, {Strongest(scores, suppression)}"))}.",
        ScaleEnd(AllScores(scores, signs)),
        threshold,
        colorTitle: signs.Length == 1 ? Kind(signs[0]) : null);

    private static string Kind(bool suppression) => suppression ? "suppression score" : "relation score";

    private static string Strongest(RelationScores scores, bool suppression) => scores.Top(3, suppression) is { Count: > 0 } top
        ? "strongest " + string.Join(", ", top.Select(score => $"{score.Head} ({PlotlyText.Score(score.Score)})"))
        : "no head has one above 0";

    private static IEnumerable<float> AllScores(RelationScores scores, params bool[] signs) => signs.SelectMany(suppression => scores.Heads.Select(head => scores.Of(head, suppression).Score));

    /// <summary>The next larger of 0.1, 0.2, … 1: an end for colours that several maps share.</summary>
    private static double ScaleEnd(IEnumerable<float> scores) =>
        Math.Clamp(Math.Ceiling((scores.Where(float.IsFinite).DefaultIfEmpty(0).Max() * 10) - 1e-6) / 10, 0.1, 1);

    // Two models under names that differ.
    private static string[] Names(HeadMap first, HeadMap second) => first.Model == second.Model ? [$"{first.Model} (first)", $"{second.Model} (second)"] : [first.Model, second.Model];

    /// <summary>A menu above the titles of the panels that chooses one of several views; at first the first is seen.</summary>
    /// <param name="views">The name of each view, escaped already, and for every trace whether it is seen then.</param>
    private static UpdateMenu[] Menu(IReadOnlyList<(string Name, bool[] Visible)> views) =>
    [
        new UpdateMenu().With(new
        {
            x = 0, xanchor = "left", y = 1, yanchor = "bottom", pad = new { b = 24 }, showactive = true, direction = "down", active = 0,
            buttons = views.Select(view => new UpdateMenuButton().With(new { label = view.Name, method = "restyle", args = new object[] { new { visible = view.Visible } } })).ToArray(),
        }),
    ];

    /// <summary>Scores of all heads, side by side with others of the same scale; the title is escaped already.</summary>
    private sealed record Scores(string Title, int Layers, int Heads, Func<Head, HeadScore> Of, Func<string, RelationScores> Relation, bool Shown = true);

    /// <summary>Panels of cells; they take places from left to right, and those that are not shown at first the same places again.</summary>
    private static GenericChart Maps(Scores[] maps, string title, string caption, double end, double threshold, UpdateMenu[]? menu = null, string? colorTitle = null)
    {
        var abreast = maps.Count(map => map.Shown);
        var layers = maps.Max(map => map.Layers);
        var (same, gap) = maps.All(map => map.Layers == layers) ? (true, 0.06) : (false, 0.16);
        var (least, cell, most) = abreast == 1 ? (250, 34.0, 720) : (250, 27, 560);
        var part = (1 - ((abreast - 1) * gap)) / abreast;
        return Chart(
            maps.Select((map, i) => ScoreCells(
                Enumerable.Range(0, map.Layers).Select(layer => Enumerable.Range(0, map.Heads).Select(head => map.Of(new Head(layer, head))).ToArray()), map.Relation, end, threshold,
                i % abreast == abreast - 1 ? colorTitle ?? "score" : null).In(i % abreast).With(new { visible = map.Shown ? (object)true : "legendonly" })),
            Figure(title, maps.Take(abreast).Sum(map => Math.Clamp(map.Heads * cell, least, most)) + 130 + (50 * abreast), Math.Clamp(layers * 23.0, 190, 780) + (menu is null ? 140 : 166), new
            {
                margin = Margin(new { t = menu is null ? 84 : 110, r = 90 }), updatemenus = menu, showlegend = false,
            }).Panels(maps.Take(abreast).Select((map, i) =>
            {
                // A frame, since most cells are pale; layers are numbered once where both panels have the same.
                var frame = new { showline = true, mirror = true, linecolor = ChartStyle.Grid };
                var left = i * (1 + gap) / abreast;
                return new Panel(abreast == 1 ? null : map.Title, (left, left + part), (0, 1), Indices("head", map.Heads).With(frame),
                    Indices(i == 0 ? "layer" : null, map.Layers, reversed: true).With(frame).With(new { showticklabels = i == 0 || !same }));
            })),
            caption + Below(threshold),
            CellRows(layers));
    }

    /// <summary>Cells of scores, with a scale beside them where that has a title; those below a threshold have the palest colour, those that were not scored say so.</summary>
    private static Trace2D ScoreCells(IEnumerable<HeadScore[]> scores, Func<string, RelationScores> relation, double end, double threshold, string? colorTitle)
    {
        HeadScore[][] rows = [.. scores];
        return Cells([.. rows.Select(row => row.Select(score => (double)score.Score).ToArray())], 0, end, From(threshold, end), new
        {
            hoverongaps = true, showscale = colorTitle is not null, colorbar = colorTitle is null ? null : ColorBar(colorTitle),
        }).Telling(rows.Select(row => row.Select(score => Hover(relation(score.Relation), score)).ToArray()).ToArray());
    }

    private static string Below(double threshold) => threshold > 0 ? $" Scores below {PlotlyText.Number(threshold)} are pale." : "";

    /// <summary>The scale with one colour up to a threshold, and its others from there on.</summary>
    private static IEnumerable<IReadOnlyList<object>> From(double threshold, double end)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threshold);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threshold, 1);
        if (threshold == 0)
        {
            return ChartStyle.Sequential;
        }

        // What stands at the place itself is beyond it.
        var (colors, place) = (ChartStyle.Sequential.Select(stop => stop[1]).ToArray(), Math.Min(1, (threshold / end) - 1e-6));
        return [[0.0, colors[0]], [place, colors[0]], .. place < 1 ? colors.Skip(1).Select((color, i) => new[] { place + ((1 - place) * i / (colors.Length - 2)), color }) : []];
    }

    private static string Hover(RelationScores relation, HeadScore score) => score.Hits < 0
        ? $"<b>head {score.Head}</b>: not scored in this part"
        : $"<b>head {score.Head}</b>: {PlotlyText.Spoken(score.Relation)}<br>{Kind(score.IsSuppression)} {PlotlyText.Score(score.Score)} "
            + $"({PlotlyText.Count(score.Hits)} of {PlotlyText.Count(score.Pairs)} pairs)"
            + string.Concat(relation.Examples(score.Head, score.IsSuppression).Take(6).Select(pair => $"<br>{PlotlyText.Escape(pair.Source)} → {PlotlyText.Escape(pair.Target)}"));
}
