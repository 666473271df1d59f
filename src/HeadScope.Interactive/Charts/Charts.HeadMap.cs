using Plotly.NET;
using Plotly.NET.LayoutObjects;
using Plotly.NET.TraceObjects;
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
        var end = ScaleEnd(map.Relations.SelectMany(AllScores));
        var panels = views.SelectMany((view, i) => new[] { false, true }.Select(suppression => new Panel(
            suppression ? "suppression score" : "relation score", map.LayerCount, map.HeadCount, head => view.Of(head, suppression), name => map[name], Shown: i == 0)));
        return Maps(
            [.. panels],
            several ? $"Heads of {PlotlyText.Escape(map.Model)}" : $"{PlotlyText.Spoken(map.Relations[0].Name)}, {PlotlyText.Escape(map.Model)}",
            $"Relation and suppression scores of {map.LayerCount} × {map.HeadCount} heads of {map.Model} for "
            + $"{(several ? $"{map.Relations.Count} relations; first each head's strongest" : map.Relations[0].Name)}, from the parameters alone (MAPS). "
            + "A score is the share of pairs whose target is among the k tokens that the head promotes, or suppresses, most. Strongest: "
            + string.Join("; ", map.Top(1).OrderByDescending(score => score.Score).Take(5).Select(score => $"head {score.Head} for {score.Relation} ({PlotlyText.Score(score.Score)})")) + ".",
            end,
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
        Trace2D Scores(bool suppression) => Bar(new
        {
            name = suppression ? "suppression score" : "relation score", orientation = "h", y = Enumerable.Range(0, scores.Length).ToArray(),
            x = scores.Select(row => Finite((suppression ? row.Suppressed : row.Promoted).Score)).ToArray(), marker = Marker(new { color = ChartStyle.Palette[suppression ? 1 : 0] }),
            hovertext = scores.Select(row => Hover(row.Relation, suppression ? row.Suppressed : row.Promoted)).ToArray(), hovertemplate = "%{hovertext}<extra></extra>",
        });
        return Chart(
            [Scores(suppression: false), Scores(suppression: true)],
            new Layout().With(new
            {
                title = Title($"Head {head} of {PlotlyText.Escape(map.Model)}"), width = 640, height = (scores.Length * 26) + 150, barmode = "group", bargap = 0.3,
                legend = new Legend().With(new { orientation = "h", x = 0, y = 1.01, yanchor = "bottom" }), margin = new Margin().With(new { t = 84 }),
                xaxis = Axis(new { title = Title("share of pairs (score)"), range = new[] { 0, 1.02 }, zeroline = true }),
                yaxis = Labelled(null, [.. scores.Select(row => PlotlyText.Spoken(row.Relation.Name))], reversed: true),
            }),
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
            [.. both.Select(one => new Panel(PlotlyText.Escape(one.Name), one.Map.LayerCount, one.Map.HeadCount, head => one.Scores.Of(head, suppression), _ => one.Scores))],
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
        [.. signs.Select(suppression => new Panel(Kind(suppression), scores.LayerCount, scores.HeadCount, head => scores.Of(head, suppression), _ => scores))],
        title,
        $"{scores.LayerCount} × {scores.HeadCount} heads{of} for {scores.Name} (k = {scores.K}): {string.Join("; ", signs.Select(suppression => $"{Kind(suppression)}, {Strongest(scores, suppression)}"))}.",
        ScaleEnd(signs.SelectMany(suppression => AllScores(scores, suppression))),
        threshold,
        colorTitle: signs.Length == 1 ? Kind(signs[0]) : null);

    private static string Kind(bool suppression) => suppression ? "suppression score" : "relation score";

    private static string Strongest(RelationScores scores, bool suppression) => scores.Top(3, suppression) is { Count: > 0 } top
        ? "strongest " + string.Join(", ", top.Select(score => $"{score.Head} ({PlotlyText.Score(score.Score)})"))
        : "no head has one above 0";

    private static IEnumerable<float> AllScores(RelationScores scores) => AllScores(scores, suppression: false).Concat(AllScores(scores, suppression: true));

    private static IEnumerable<float> AllScores(RelationScores scores, bool suppression) => scores.Heads.Select(head => scores.Of(head, suppression).Score);

    // Two models under names that differ.
    private static string[] Names(HeadMap first, HeadMap second) => first.Model == second.Model ? [$"{first.Model} (first)", $"{second.Model} (second)"] : [first.Model, second.Model];

    /// <summary>Scores of all heads, side by side with others of the same scale; the title is escaped already.</summary>
    private sealed record Panel(string Title, int Layers, int Heads, Func<Head, HeadScore> Of, Func<string, RelationScores> Relation, bool Shown = true);

    /// <summary>Panels of cells; they take places from left to right, and those that are not shown at first the same places again.</summary>
    private static GenericChart Maps(Panel[] panels, string title, string caption, double end, double threshold, UpdateMenu[]? menu = null, string? colorTitle = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threshold);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threshold, 1);
        var abreast = panels.Count(panel => panel.Shown);
        var layers = panels.Max(panel => panel.Layers);
        var (same, gap) = panels.All(panel => panel.Layers == layers) ? (true, 0.06) : (false, 0.16);
        var layout = new Layout().With(new
        {
            title = Title(title),
            width = (int)panels.Take(abreast).Sum(panel => Math.Clamp(panel.Heads * (abreast == 1 ? 34.0 : 27), 250, abreast == 1 ? 720 : 560)) + 130 + (50 * abreast),
            height = (int)Math.Clamp(layers * 23.0, 190, 780) + (menu is null ? 140 : 166),
            margin = new Margin().With(new { t = menu is null ? 84 : 110, r = 90 }),
            annotations = abreast == 1 ? null : panels.Take(abreast).Select((panel, i) => PanelTitle(panel.Title, (Left(i) + Right(i)) / 2)).ToArray(),
            updatemenus = menu,
            showlegend = false,
        });
        for (var i = 0; i < abreast; i++)
        {
            // A frame, since most cells are pale; layers are numbered once where both panels have the same.
            layout.SetProperty(Name("xaxis", i), Indices("head", panels[i].Heads).With(new { domain = new[] { Left(i), Right(i) }, anchor = Name("y", i), showline = true, mirror = true, linecolor = ChartStyle.Grid }));
            layout.SetProperty(Name("yaxis", i), Indices(i == 0 ? "layer" : null, panels[i].Layers, reversed: true).With(new
            {
                anchor = Name("x", i), showline = true, mirror = true, linecolor = ChartStyle.Grid, showticklabels = i == 0 || !same,
            }));
        }

        return Chart(
            panels.Select((panel, i) => Cells(panel, end, threshold, showScale: i % abreast == abreast - 1, colorTitle).With(new
            {
                xaxis = Name("x", i % abreast), yaxis = Name("y", i % abreast), visible = panel.Shown ? (object)true : "legendonly",
            })),
            layout,
            threshold > 0 ? $"{caption} {Below(threshold)}" : caption,
            CellRows(layers));

        double Left(int i) => i * (1 + gap) / abreast;
        double Right(int i) => Left(i) + ((1 - ((abreast - 1) * gap)) / abreast);
        static string Name(string axis, int i) => i == 0 ? axis : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{axis}{i + 1}");
    }

    private static string Below(double threshold) => $"Scores below {PlotlyText.Number(threshold)} are pale.";

    /// <summary>The scale with one colour up to a place between 0 and 1, and its others from there on.</summary>
    private static object[][] From(double place)
    {
        var colors = ChartStyle.Sequential.Select(stop => stop[1]).ToArray();
        if (place <= 0)
        {
            return [.. ChartStyle.Sequential.Select(stop => stop.ToArray())];
        }

        // What stands at the place itself is beyond it.
        var end = Math.Min(1, place - 1e-6);
        return [[0.0, colors[0]], [end, colors[0]], .. end < 1 ? colors.Skip(1).Select((color, i) => new[] { end + ((1 - end) * i / (colors.Length - 2)), color }) : []];
    }

    private static Trace2D Cells(Panel panel, double end, double threshold, bool showScale, string? colorTitle)
    {
        var scores = Enumerable.Range(0, panel.Layers).Select(layer => Enumerable.Range(0, panel.Heads).Select(head => panel.Of(new Head(layer, head))).ToArray()).ToArray();
        return HeatMap(new
        {
            z = scores.Select(row => row.Select(score => Finite(score.Score)).ToArray()).ToArray(),
            text = scores.Select(row => row.Select(score => Hover(panel.Relation(score.Relation), score)).ToArray()).ToArray(),

            // Cells that were not scored say so.
            hovertemplate = "%{text}<extra></extra>", hoverongaps = true, zmin = 0, zmax = end, colorscale = From(threshold / end), showscale = showScale,
            colorbar = showScale ? new ColorBar().With(new { title = Title(colorTitle ?? "score").With(new { side = "right" }) }) : null,
            xgap = panel.Heads > 40 ? 0 : 1, ygap = panel.Layers > 40 ? 0 : 1,
        });
    }

    private static string Hover(RelationScores relation, HeadScore score) => score.Hits < 0
        ? $"<b>head {score.Head}</b>: not scored in this part"
        : $"<b>head {score.Head}</b>: {PlotlyText.Spoken(score.Relation)}<br>{Kind(score.IsSuppression)} {PlotlyText.Score(score.Score)} "
            + $"({PlotlyText.Count(score.Hits)} of {PlotlyText.Count(score.Pairs)} pairs)"
            + string.Concat(relation.Examples(score.Head, score.IsSuppression).Take(6).Select(pair => $"<br>{PlotlyText.Escape(pair.Source)} → {PlotlyText.Escape(pair.Target)}"));
}
