using System.Globalization;
using Plotly.NET;
using Plotly.NET.LayoutObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>
    /// A traced circuit, up to the logit difference. A box is a component that writes at a token: columns are the roles of tokens in their order, rows are
    /// layers (those without a box are left out). An arrow goes from the component that sends a signal to the head that reads it, as wide as its share of
    /// what the head reads on that side: on the source side the head fetches it from another token, on the destination side it finds it at its own. The
    /// roots bear their direct effects on the logit difference.
    /// </summary>
    /// <param name="circuit">The circuit.</param>
    /// <param name="edges">How many edges are drawn at most: those on the strongest paths to the roots (<see cref="HeadScope.Circuit.Paths"/>), and of each
    /// root its strongest; passed over are edges at tokens for whose columns a column of a paper has no room. Chart and caption say how many there are.</param>
    /// <returns>The chart; of a circuit without edges the reason why it has none.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No edge is to be drawn.</exception>
    public static GenericChart Circuit(Circuit circuit, int edges = 40)
    {
        ArgumentNullException.ThrowIfNull(circuit);
        ArgumentOutOfRangeException.ThrowIfLessThan(edges, 1);
        var what = $"Circuit of {circuit.Model}, {PlotlyText.Count(circuit.PromptCount)} {circuit.PromptSet} prompts";
        if (circuit.Edges.Count == 0)
        {
            return Nothing(what, circuit.ToString());
        }

        var drawing = new CircuitLayout(circuit, edges);
        var shown = $"{PlotlyText.Count(drawing.Drawn.Count)} of {PlotlyText.Count(circuit.Edges.Count)} edges, {PlotlyText.Count(drawing.Boxes.Count)} of {PlotlyText.Count(drawing.AllBoxes)} nodes";
        return Chart(
            [.. Arrows(circuit, drawing), .. new[] { drawing.Output }.Concat(drawing.Boxes).GroupBy(box => box.Kind).SelectMany(Boxes)],
            Figure(PlotlyText.Escape(what), 820, (26 * (drawing.Top + 1.8)) + 150, new
            {
                hovermode = "closest", xaxis = Axis($"token ({shown})", new
                {
                    tickvals = drawing.Columns.Select(column => column.X).ToArray(), ticktext = drawing.Columns.Select(column => PlotlyText.Escape(column.Role)).ToArray(),
                    range = new[] { 0, CircuitLayout.Width + 0.5 }, zeroline = false,
                }),
                yaxis = Axis("layer", new
                {
                    tickvals = drawing.Layers.Select(layer => layer.Y).ToArray(), ticktext = drawing.Layers.Select(layer => layer.Layer < 0 ? "" : $"{layer.Layer}").ToArray(),
                    range = new[] { -0.7, drawing.Top + 1.1 }, zeroline = false, showgrid = false,
                }),
            }).LegendAbove(),
            $"{what}: {shown}, those on the strongest paths to the roots. {Story(circuit, drawing)}",
            new PaperLayout(drawing.Top + 1.8, 4));
    }

    /// <summary>A chart that says why there is nothing to draw.</summary>
    private static GenericChart Nothing(string title, string reason) => Chart(
        [],
        Figure(PlotlyText.Escape(title), 620, 160, new
        {
            xaxis = Axis(null, new { visible = false, range = new[] { 0, 1 } }), yaxis = Axis(null, new { visible = false, range = new[] { 0, 1 } }),
            annotations = new[] { new Annotation().With(new { text = PlotlyText.Escape(reason), x = 0.5, y = 0.5, showarrow = false }) },
        }),
        $"{title}: {reason}",
        new PaperLayout(2, 5));

    private static string Story(Circuit circuit, CircuitLayout drawing)
    {
        var roots = circuit.Roots.Select(root => circuit.RootEffects.TryGetValue(root, out var effect) ? $"{root} ({PlotlyText.Number(effect)})" : $"{root}");
        var silent = circuit.Roots.Where(root => drawing.Silence(root) is not null).Select(root => $"{root} {drawing.Silence(root)}: nothing leads to it. ");
        var strongest = drawing.Drawn.Take(5).Select(path => string.Create(CultureInfo.InvariantCulture, $"{path.Edge.Sender} at {path.Edge.Role} → {path.Edge.Receiver} at {path.Edge.DestinationRole} ({100 * path.Share:0} %)"));
        return $"Roots{(circuit.RootEffects.Count > 0 ? ", with their direct effects on the logit difference" : "")}: {string.Join(", ", roots)}. {string.Concat(silent)}"
            + $"Strongest, with the share of what is read on that side: {string.Join("; ", strongest)}.";
    }

    /// <summary>Boxes of one kind and their labels; they cover lines that pass under them.</summary>
    private static IEnumerable<Trace> Boxes(IGrouping<CircuitLayout.BoxKind, CircuitLayout.Box> kind)
    {
        var (fill, ink, border) = kind.Key switch
        {
            CircuitLayout.BoxKind.Output => (ChartStyle.Ink, ChartStyle.Paper, ChartStyle.Paper),
            CircuitLayout.BoxKind.Root => ("#12457f", ChartStyle.Paper, ChartStyle.Paper),
            CircuitLayout.BoxKind.SilentRoot => (ChartStyle.Paper, ChartStyle.Ink, "#12457f"),
            CircuitLayout.BoxKind.Head => ("#d3e2f2", ChartStyle.Ink, ChartStyle.Paper),
            _ => (ChartStyle.Grid, ChartStyle.Ink, ChartStyle.Paper),
        };
        yield return Scatter(new
        {
            mode = "lines", fill = "toself", fillcolor = fill, line = Line(new { color = border, width = 1.2 }), hoverinfo = "skip", showlegend = false,
            x = kind.SelectMany(box => new double?[] { box.Left, box.Right, box.Right, box.Left, box.Left, null }).ToArray(),
            y = kind.SelectMany(box => new[] { -1, -1, 1, 1, -1 }.Select(side => (double?)(box.Y + (side * CircuitLayout.HalfBox))).Append(null)).ToArray(),
        });

        // The middle of letters lies a little below that of their line.
        yield return Texts(kind.Select(box => (box.X, box.Y - 0.05, box.Label)), "middle center", Font(new { size = 11, color = ink })).Telling(kind.Select(box => box.Hover).ToArray());
    }

    /// <summary>The arrows, those of one side and about one width as one trace, thin ones first, and their legend.</summary>
    private static IEnumerable<Trace> Arrows(Circuit circuit, CircuitLayout drawing)
    {
        (SignalSide? Side, string Name, string Color)[] sides =
        [
            (SignalSide.Source, "source side", ChartStyle.Palette[1]), (SignalSide.Destination, "destination side", ChartStyle.Palette[0]),
            (null, circuit.RootEffects.Count > 0 ? "direct effect (logits)" : "root", ChartStyle.Ink),
        ];
        foreach (var (side, width, arrows) in drawing.Arrows.GroupBy(arrow => (arrow.Side, Width: Math.Ceiling(arrow.Share * 5) / 5)).OrderBy(same => same.Key.Width).Select(same => (same.Key.Side, same.Key.Width, same.ToArray())))
        {
            var (_, name, color) = sides.First(known => known.Side == side);
            yield return Scatter(new
            {
                mode = "lines+markers", legendgroup = name, showlegend = false, opacity = 0.85, cliponaxis = false, line = Line(new { color, width = Math.Round(0.9 + (3.3 * width), 2) }),
                marker = Marker(new
                {
                    symbol = "arrow", angleref = "previous", color, opacity = 1, line = Line(new { width = 0 }),
                    size = arrows.SelectMany(arrow => Enumerable.Repeat(0.0, arrow.Points.Count - 1).Append(Math.Round(7 + (5 * width), 1)).Append(0)).ToArray(),
                }),
                x = arrows.SelectMany(arrow => arrow.Points.Select(point => (double?)Math.Round(point.X, 3)).Append(null)).ToArray(),
                y = arrows.SelectMany(arrow => arrow.Points.Select(point => (double?)Math.Round(point.Y, 3)).Append(null)).ToArray(),
            }).Telling(arrows.SelectMany(arrow => Enumerable.Repeat(arrow.Hover, arrow.Points.Count + 1)).ToArray());
        }

        foreach (var (_, name, color) in sides.Where(side => drawing.Arrows.Any(arrow => arrow.Side == side.Side)))
        {
            yield return Scatter(new { mode = "lines", name, legendgroup = name, x = new double?[] { null }, y = new double?[] { null }, line = Line(new { color, width = 2.5 }) });
        }

        if (circuit.Roots.Select(drawing.Silence).FirstOrDefault(silence => silence is not null) is { } reason)
        {
            yield return Scatter(new
            {
                mode = "markers", name = PlotlyText.Escape($"root that {reason}"), x = new double?[] { null }, y = new double?[] { null },
                marker = Marker(new { symbol = "square", color = ChartStyle.Paper, size = 11, line = Line(new { color = "#12457f", width = 1.2 }) }),
            });
        }
    }
}
