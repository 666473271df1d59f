using System.Globalization;
using System.Text.Json;
using Plotly.NET;

namespace HeadScope.Notebooks.Tests;

/// <summary>The charts of circuits and signals.</summary>
public sealed class CircuitChartsTests
{
    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    public void Every_box_of_a_circuit_has_a_way_to_the_output_and_what_leads_to_no_root_is_left_out(int edges)
    {
        var circuit = RandomCircuits.Of(30, 9);
        var drawing = new CircuitLayout(circuit, edges);
        Assert.Equal(edges, drawing.Drawn.Count);
        Assert.DoesNotContain(drawing.Drawn, path => path.Edge.DestinationRole == "elsewhere");
        Assert.Contains(drawing.Boxes, box => box.Label.StartsWith("MLP ", StringComparison.Ordinal));

        // Each arrow begins at the border of one box and ends at that of another: as a reader would, follow them down from the output.
        var ways = drawing.Arrows.ToLookup(arrow => BoxAt(drawing, arrow.Points[^1]), arrow => BoxAt(drawing, arrow.Points[0]));
        var (reached, next) = (new HashSet<CircuitLayout.Box>(), new Stack<CircuitLayout.Box>([drawing.Output]));
        while (next.TryPop(out var box))
        {
            if (reached.Add(box))
            {
                foreach (var from in ways[box])
                {
                    next.Push(from);
                }
            }
        }

        Assert.Equal(drawing.Boxes.Append(drawing.Output).ToHashSet(), reached);
        Assert.Equal(edges + circuit.Roots.Count, drawing.Arrows.Count);
        Assert.All(circuit.Roots, root => Assert.Contains(drawing.Boxes, box => box.Label.StartsWith($"{root} (", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(4, 8)]
    [InlineData(30, 9)]
    [InlineData(32, 32)]
    public void Boxes_stand_apart_inside_the_plot_by_role_and_layer(int layers, int heads)
    {
        string[] many = ["starts", "S1-1", "S1", "S1+1", "IO-1", "IO", "IO+1", "punct", "S2-1", "S2", "S2+1", "verb", "end-1", "end"];
        foreach (var circuit in new[] { RandomCircuits.Of(layers, heads), RandomCircuits.Of(layers, heads, many) })
        {
            var drawing = new CircuitLayout(circuit, 80);
            CircuitLayout.Box[] boxes = [.. drawing.Boxes, drawing.Output];
            Assert.All(boxes, box => Assert.True(box.Left >= 0 && box.Right <= CircuitLayout.Width + 1e-9, $"{box.Label} from {box.Left} to {box.Right}"));
            foreach (var (i, box) in boxes.Index())
            {
                Assert.All(boxes[(i + 1)..], other => Assert.True(Math.Abs(box.Y - other.Y) > 0.8 || box.Right < other.Left || other.Right < box.Left, $"{box.Label} and {other.Label}"));
            }

            Assert.Equal(circuit.Roles.Where(drawing.Columns.Select(column => column.Role).Contains), drawing.Columns.Select(column => column.Role));
            Assert.Equal(drawing.Columns.OrderBy(column => column.X), drawing.Columns);
            Assert.Equal(drawing.Layers.OrderBy(layer => layer.Layer).Select(layer => layer.Layer), drawing.Layers.OrderBy(layer => layer.Y).Select(layer => layer.Layer));
            Assert.All(drawing.Boxes, box => Assert.Equal(drawing.Layers.MinBy(layer => Math.Abs(layer.Y - box.Y)).Layer, LayerOf(box), tolerance: 3));
            Assert.True(drawing.Drawn.Count >= 40, $"{drawing.Drawn.Count} edges fit");
        }
    }

    [Fact]
    public void A_circuit_shows_sides_shares_effects_counts_and_why_a_root_reads_nothing()
    {
        CircuitEdge[] edges =
        [
            new("mlp 7", new(23, 0), SignalSide.Source, "IO", "end", 3, 2), new("20.0", new(23, 0), SignalSide.Source, "IO", "end", 1, 1),
            new("22.4", new(23, 0), SignalSide.Destination, "IO", "end", 5, 4), new("1.0", new(3, 1), SignalSide.Source, "S1", "S2", 9, 4),
        ];
        var circuit = new Circuit("model", "ioi", 16, new() { RootSource = "IO" }, [new(23, 3), new(23, 0)], edges, new Dictionary<Head, int> { [new(22, 4)] = 1234 }, null)
        {
            Roles = ["S1", "IO", "S2", "end"], RootEffects = new Dictionary<Head, double> { [new(23, 3)] = -0.5, [new(23, 0)] = 1 },
        };
        var chart = Json(Charts.Circuit(circuit));
        var traces = chart.GetProperty("data").EnumerateArray().ToArray();
        string[] labels = [.. traces.Where(trace => trace.GetProperty("mode").GetString() == "text").SelectMany(trace => Strings(trace, "text"))];
        Assert.Equal(["20.0", "22.4", "23.0 (+1.00)", "23.3 (−0.50)", "MLP 7", "logit difference"], labels.Order(StringComparer.Ordinal));
        Assert.Equal(["IO", "end"], Strings(chart.GetProperty("layout").GetProperty("xaxis"), "ticktext"));
        Assert.Equal("token (3 of 4 edges, 5 of 7 nodes)", chart.GetProperty("layout").GetProperty("xaxis").GetProperty("title").GetProperty("text").GetString());

        // Arrows lie below boxes, in the colour of their side; the legend says the same.
        Assert.True(Array.FindLastIndex(traces, trace => trace.TryGetProperty("marker", out var marker) && marker.GetProperty("symbol").GetString() == "arrow") < Array.FindIndex(traces, trace => trace.TryGetProperty("fill", out _)));
        (string Side, string[] Senders)[] sides = [("source side", ["20.0", "mlp 7"]), ("destination side", ["22.4"]), ("direct effect (logits)", ["23.0", "23.3"])];
        foreach (var (side, senders) in sides)
        {
            var color = traces.Single(trace => trace.TryGetProperty("name", out var name) && name.GetString() == side).GetProperty("line").GetProperty("color").GetString();
            var arrows = traces.Where(trace => trace.TryGetProperty("marker", out var marker) && marker.GetProperty("symbol").GetString() == "arrow" && marker.GetProperty("color").GetString() == color);
            Assert.Equal(senders, arrows.SelectMany(trace => Strings(trace, "hovertext")).Select(hover => hover.Split(" at ")[0].Split(" → ")[0]).Distinct().Order(StringComparer.Ordinal));
        }

        string[] hovers = [.. traces.Where(trace => trace.TryGetProperty("hovertext", out _)).SelectMany(trace => Strings(trace, "hovertext")).Distinct()];
        Assert.Contains("mlp 7 at IO → 23.0 (end attends to IO): 1.5, 2 times; 75 &#37; of what it reads on this side", hovers);
        Assert.Contains("head 22.4 at end<br>fires 1,234 times", hovers);
        Assert.Contains("23.3 → logit difference: -0.5 logits", hovers);
        Assert.Contains(traces, trace => trace.TryGetProperty("name", out var name) && name.GetString() == "root that never fires from end to IO");
        Assert.Contains("23.3 never fires from end to IO", ChartOutput.Caption(Charts.Circuit(circuit)), StringComparison.Ordinal);
        var widths = traces.Where(trace => trace.TryGetProperty("hovertext", out _) && trace.GetProperty("mode").GetString() == "lines+markers")
            .ToDictionary(trace => string.Join('|', Strings(trace, "hovertext").Distinct()).Split(' ')[0] + trace.GetProperty("marker").GetProperty("color").GetString(), trace => trace.GetProperty("line").GetProperty("width").GetDouble());
        Assert.True(widths.Single(width => width.Key.StartsWith("22.4", StringComparison.Ordinal)).Value > widths.Single(width => width.Key.StartsWith("mlp", StringComparison.Ordinal)).Value);
    }

    [Fact]
    public void Each_root_keeps_its_strongest_edge_however_few_are_drawn()
    {
        var drawing = new CircuitLayout(RandomCircuits.Of(30, 9), 1);
        Assert.Equal([new(29, 0), new(29, 8)], drawing.Drawn.Select(path => path.Edge.Receiver).Distinct().Order());
        Assert.Equal(2, drawing.Drawn.Count);
    }

    [Fact]
    public void A_reason_stands_where_there_is_no_circuit() =>
        Assert.Equal("no root fires", Json(Charts.Circuit(DemoResults.Circuit with { Edges = [], EmptyReason = "no root fires" })).GetProperty("layout").GetProperty("annotations")[0].GetProperty("text").GetString());

    [Fact]
    public void Interventions_stand_before_after_and_control_from_top_to_bottom()
    {
        var chart = Json(Charts.Interventions(RandomCircuits.InterventionOf(4, 8), edges: 2));
        foreach (var (name, logit, score) in new[] { ("before", 0.0, 1.0), ("after", -1, 11), ("random directions instead", -2, 21) })
        {
            var bars = chart.GetProperty("data").EnumerateArray().Where(trace => trace.GetProperty("name").GetString() == name).ToArray();
            Assert.Equal([logit], Numbers(bars[0], "x"));
            Assert.Equal([score, score + 0.1], Numbers(bars[1], "x").Select(x => Math.Round(x, 9)));
            Assert.Equal([1.0, 1.0], bars[1].GetProperty("error_x").GetProperty("array").EnumerateArray().Select(x => Math.Round(x.GetDouble(), 9)));
        }

        Assert.Contains("2 of 8 edges are shown", ChartOutput.Caption(Charts.Interventions(RandomCircuits.InterventionOf(4, 8), edges: 2)), StringComparison.Ordinal);
    }

    [Fact]
    public void Signals_of_heads_are_those_of_their_tables_and_what_is_left_out_is_said()
    {
        var signals = RandomCircuits.SignalsOf(30, 9);
        var rows = signals.ByHead(3).Rows.OrderByDescending(row => (int)row["firings"]).Take(10).ToArray();
        var bars = Json(Charts.SignalDirections(signals, 10));
        Assert.Equal(rows.Select(row => (double)row["mean_directions"]), Numbers(bars.GetProperty("data")[0], "x"));
        Assert.Equal(rows.Select(row => (string)row["head"]), Strings(bars.GetProperty("layout").GetProperty("yaxis"), "ticktext"));
        Assert.Contains("the 10 of 261 heads that fire most", bars.GetProperty("layout").GetProperty("title").GetProperty("text").GetString(), StringComparison.Ordinal);
        var table = Json(Charts.SignalTable(signals, 10)).GetProperty("data");
        Assert.Equal(["<b>head</b>", .. rows.Select(row => (string)row["head"])], Strings(table[0], "text"));
        Assert.Equal(["<b>firings</b>", .. rows.Select(row => ((int)row["firings"]).ToString(CultureInfo.InvariantCulture))], Strings(table[1], "text"));
        var cells = Strings(Json(Charts.SignalTable(RandomCircuits.SignalsOf(4, 2, " the", " internationalisation", ")\n\"", " the"), tokens: 1)).GetProperty("data")[5], "text");
        Assert.Contains(cells, cell => cell.StartsWith("\" intern…\" (", StringComparison.Ordinal));
        Assert.Throws<ArgumentOutOfRangeException>(() => Charts.SignalDirections(signals, 0));
    }

    [Fact]
    public void Contributions_and_parts_add_up_to_what_they_are_of()
    {
        var firing = RandomCircuits.SignalsOf(4, 8).Firings[0];
        Assert.Equal(firing.Score, Numbers(Json(Charts.SignalContributions(firing)).GetProperty("data")[0], "x").Sum(), 9);
        var upstream = RandomCircuits.UpstreamOf(30, 9);
        var chart = Json(Charts.Upstream(upstream, 7));
        Assert.Equal(upstream.Total, Numbers(chart.GetProperty("data")[0], "x").Sum(), 9);
        Assert.Equal($"{upstream.Components.Count - 7} others", Strings(chart.GetProperty("layout").GetProperty("yaxis"), "ticktext")[^1]);
    }

    [Fact]
    public void Singular_values_are_marked_where_the_firing_has_them()
    {
        var omega = DemoResults.Omega;
        var firing = RandomCircuits.SignalsOf(4, 8).Firings[0] with { Directions = [4, 1] };
        var data = Json(Charts.SingularValues(omega, firing)).GetProperty("data");
        Assert.Equal([1.0, 4], Numbers(data[1], "x"));
        Assert.Equal([omega.S[1].item<double>(), omega.S[4].item<double>()], Numbers(data[1], "y"));
        Assert.Equal("in the sparse set", data[1].GetProperty("name").GetString());
        Assert.Equal(omega.S.shape[0] - 2, data[0].GetProperty("x").GetArrayLength());
    }

    private static int LayerOf(CircuitLayout.Box box) => box.Label == "token" ? -1 : int.Parse(box.Label.Replace("MLP ", "", StringComparison.Ordinal).Split('.')[0], CultureInfo.InvariantCulture);

    private static CircuitLayout.Box BoxAt(CircuitLayout drawing, (double X, double Y) point) => drawing.Boxes.Append(drawing.Output).Single(box =>
        (Math.Abs(point.Y - box.Y) < 1e-9 && (Math.Abs(point.X - box.Left) < 1e-9 || Math.Abs(point.X - box.Right) < 1e-9))
        || (point.X >= box.Left && point.X <= box.Right && Math.Abs(Math.Abs(point.Y - box.Y) - CircuitLayout.HalfBox) < 0.11));

    private static JsonElement Json(GenericChart chart) => JsonDocument.Parse(ChartOutput.Json(chart)).RootElement;

    private static string[] Strings(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(text => text.GetString()!)];

    private static double[] Numbers(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(number => number.GetDouble())];
}
