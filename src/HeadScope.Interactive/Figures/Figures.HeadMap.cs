using HeadScope.Notebooks.Plotly;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>
    /// Which heads implement which relation (MAPS): relation scores on the left, suppression scores on the right, one relation at a time;
    /// the first view shows for every head its strongest relation. Hovering shows the score, the number of pairs and examples of them.
    /// </summary>
    /// <param name="map">The scores.</param>
    /// <returns>The figure.</returns>
    public static Figure HeadMap(HeadMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        using var scope = NewDisposeScope();
        var end = ScaleEnd(map.Relations.SelectMany(r => Grid.Numbers(r.Scores).Concat(Grid.Numbers(r.Suppression))));
        var several = map.Relations.Count > 1;
        var views = map.Relations
            .Select(relation => (Label: relation.Name.Replace('_', ' '), Of: (Func<Head, bool, HeadScore>)relation.Of))
            .Prepend((Label: "strongest relation of each head", Of: (head, suppression) => Strongest(map, head, suppression)))
            .Skip(several ? 0 : 1).ToArray();
        var traces = views.SelectMany(view => new[] { false, true }.Select(Trace (suppression) =>
            Cells(map.LayerCount, map.HeadCount, head => view.Of(head, suppression), name => map[name], end) with
            {
                Name = PlotlyText.Escape(view.Label),
                LegendGroup = PlotlyText.Escape(view.Label),
                ShowLegend = several && !suppression,
                ShowScale = suppression,
                XAxis = suppression ? "x2" : null,
                YAxis = suppression ? "y2" : null,
            })).ToArray();
        var panel = Math.Clamp(map.HeadCount * 27.0, 250, 560);
        var heads = Indices("head", map.HeadCount);
        var layers = Indices("layer", map.LayerCount, reversed: true);
        return new Figure(
            traces,
            new Layout
            {
                Title = several ? $"Heads of {PlotlyText.Escape(map.Model)}" : $"Heads of {PlotlyText.Escape(map.Model)} for {Spoken(map.Relations[0].Name)}",
                Width = (2 * panel) + (several ? 450 : 230),
                Height = Math.Clamp(map.LayerCount * 23.0, 190, 780) + 150,
                Margin = new Margin { T = 92, R = several ? 300 : 90 },
                ShowLegend = several,
                Legend = several ? ChoosingLegend("relation") : null,
                Annotations = [PanelTitle("relation score", 0.23), PanelTitle("suppression score", 0.77)],
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = heads with { Domain = [0, 0.46] },
                    ["y"] = layers,
                    ["x2"] = heads with { Domain = [0.54, 1], Anchor = "y2" },
                    ["y2"] = layers with { Anchor = "x2", Title = null },
                },
            },
            HeadMapCaption(map))
        {
            Choices = several
                ? [.. views.Select((view, chosen) => new Choice(view.Label, [.. traces.Select((_, trace) => trace / 2 == chosen)]))]
                : [],
        };
    }

    /// <summary>The scores of all heads for one relation, as a paper shows them.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="relation">The name of the relation.</param>
    /// <param name="suppression">Whether the suppression scores are shown instead of the relation scores.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">The map has no such relation.</exception>
    public static Figure HeadMap(HeadMap map, string relation, bool suppression = false)
    {
        ArgumentNullException.ThrowIfNull(map);
        return OneRelation(map[relation], suppression, $"{Spoken(relation)}, {PlotlyText.Escape(map.Model)}");
    }

    /// <summary>The relation scores of all heads for one relation.</summary>
    /// <param name="scores">The scores.</param>
    /// <returns>The figure.</returns>
    public static Figure RelationScores(RelationScores scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        return OneRelation(scores, suppression: false, Spoken(scores.Name));
    }

    /// <summary>Which relations share heads: the strongest heads of every relation, and their scores for all of them.</summary>
    /// <param name="map">The scores.</param>
    /// <param name="headsPerRelation">How many heads each relation adds at most.</param>
    /// <returns>The figure.</returns>
    public static Figure RelationComparison(HeadMap map, int headsPerRelation = 2)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentOutOfRangeException.ThrowIfLessThan(headsPerRelation, 1);
        Head[] heads = [.. map.Top(headsPerRelation).Select(score => score.Head).Distinct().Order()];
        var relations = map.Relations;
        var values = relations.SelectMany(relation => heads.Select(head => relation.Of(head).Score)).ToArray();
        var hover = relations.Select(relation => (IReadOnlyList<string>)[.. heads.Select(head => Hover(relation, relation.Of(head)))]).ToArray();
        return new Figure(
            [
                new HeatMap
                {
                    Z = new Grid(relations.Count, heads.Length, values),
                    Text = hover,
                    HoverTemplate = "%{text}<extra></extra>",
                    ZMin = 0,
                    ZMax = ScaleEnd(values),
                    ColorScale = ColorScale.Sequential,
                    ColorBar = Bar("relation score"),
                    XGap = 1,
                    YGap = 1,
                },
            ],
            new Layout
            {
                Title = $"Relations and their heads, {PlotlyText.Escape(map.Model)}",
                Width = Math.Clamp(heads.Length * 30.0, 260, 1000) + 340,
                Height = Math.Clamp(relations.Count * 23.0, 90, 700) + 140,
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = Labelled("head (layer.head)", [.. heads.Select(head => head.ToString())], angle: heads.Length > 12 ? -60 : null) with { Type = "linear" },
                    ["y"] = Labelled(null, [.. relations.Select(relation => Spoken(relation.Name))], reversed: true),
                },
            },
            $"Relation scores of the {heads.Length} heads of {map.Model} that are strongest for one of {relations.Count} relations.");
    }

    private static Figure OneRelation(RelationScores scores, bool suppression, string title)
    {
        var kind = suppression ? "suppression score" : "relation score";
        var (layers, heads) = (scores.LayerCount, scores.HeadCount);
        using var scope = NewDisposeScope();
        return new Figure(
            [
                Cells(layers, heads, head => scores.Of(head, suppression), _ => scores, ScaleEnd(Grid.Numbers(suppression ? scores.Suppression : scores.Scores)))
                    with { ColorBar = Bar(kind) },
            ],
            new Layout
            {
                Title = title,
                Width = Math.Clamp(heads * 34.0, 280, 720) + 170,
                Height = Math.Clamp(layers * 24.0, 190, 780) + 130,
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = Indices("head", heads),
                    ["y"] = Indices("layer", layers, reversed: true),
                },
            },
            $"{kind} of {layers} × {heads} heads for {scores.Name}: "
            + $"{(scores.Top(3, suppression) is { Count: > 0 } top ? "strongest are " + string.Join(", ", top.Select(score => $"{score.Head} ({Score(score.Score)})")) : "no head has one")}.");
    }

    private static Annotation PanelTitle(string text, double x) => new()
    {
        Text = text,
        X = x,
        Y = 1.02,
        XRef = "paper",
        YRef = "paper",
        XAnchor = "center",
        YAnchor = "bottom",
        ShowArrow = false,
    };

    private static ColorBar Bar(string title) => new() { Title = new Title { Text = title, Side = "right" }, Thickness = 12, OutlineWidth = 0 };

    private static HeatMap Cells(int layers, int heads, Func<Head, HeadScore> of, Func<string, RelationScores> relation, double end)
    {
        var values = new float[layers * heads];
        var text = new string[layers][];
        for (var layer = 0; layer < layers; layer++)
        {
            text[layer] = new string[heads];
            for (var index = 0; index < heads; index++)
            {
                var score = of(new Head(layer, index));
                values[(layer * heads) + index] = score.Score;
                text[layer][index] = Hover(relation(score.Relation), score);
            }
        }

        return new HeatMap
        {
            Z = new Grid(layers, heads, values),
            Text = text,
            HoverTemplate = "%{text}<extra></extra>",
            HoverOnGaps = false,
            ZMin = 0,
            ZMax = end,
            ColorScale = ColorScale.Sequential,
            ColorBar = new ColorBar { Thickness = 12, OutlineWidth = 0 },
            XGap = heads > 40 ? 0 : 1,
            YGap = layers > 40 ? 0 : 1,
        };
    }

    private static string Hover(RelationScores relation, HeadScore score)
    {
        var examples = relation.Examples(score.Head, score.IsSuppression).Take(6)
            .Select(pair => $"<br>{PlotlyText.Escape(pair.Source)} → {PlotlyText.Escape(pair.Target)}");
        return $"<b>head {score.Head}</b>: {Spoken(score.Relation)}<br>{(score.IsSuppression ? "suppression" : "relation")} score {Score(score.Score)} "
            + $"({Count(score.Hits)} of {Count(score.Pairs)} pairs){string.Concat(examples)}";
    }

    private static HeadScore Strongest(HeadMap map, Head head, bool suppression) =>
        map.Relations.Select(relation => relation.Of(head, suppression)).MaxBy(score => score.Score);

    private static string HeadMapCaption(HeadMap map) =>
        $"Relation and suppression scores of {map.LayerCount} × {map.HeadCount} heads of {map.Model} for {map.Relations.Count} relation{(map.Relations.Count == 1 ? "" : "s")}, "
        + "from the parameters alone (MAPS). A score is the share of pairs whose target is among the k tokens that the head promotes, or suppresses, most. Strongest: "
        + string.Join("; ", map.Top(1).OrderByDescending(score => score.Score).Take(5).Select(score => $"head {score.Head} for {score.Relation} ({Score(score.Score)})")) + ".";
}
