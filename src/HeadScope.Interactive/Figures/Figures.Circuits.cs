using System.Globalization;
using HeadScope.Notebooks.Plotly;
using Microsoft.Data.Analysis;
using static TorchSharp.torch;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>
    /// A traced circuit over the roles of tokens (to the right) and layers (up). A node is a component that writes at a token; an arrow goes from
    /// the component that sends a signal to the head that reads it, in the colour of the side of the attention score on which it is read:
    /// on the destination side it stays at its token, on the source side the head fetches it from there.
    /// </summary>
    /// <param name="trace">The circuit.</param>
    /// <param name="edges">How many edges are drawn at most, the greatest totals first.</param>
    /// <returns>The figure.</returns>
    public static Figure Circuit(Circuit trace, int edges = 60)
    {
        ArgumentNullException.ThrowIfNull(trace);
        ArgumentOutOfRangeException.ThrowIfLessThan(edges, 1);
        CircuitEdge[] drawn = [.. trace.Edges.OrderByDescending(edge => edge.Total).Take(edges)];
        var title = $"Circuit of {trace.Model}, {trace.PromptCount} {trace.PromptSet} prompts";
        if (drawn.Length == 0)
        {
            var none = new Axis { Visible = false };
            return new Figure(
                [],
                new Layout { Title = PlotlyText.Escape($"{title}: {trace.EmptyReason}"), Height = 120, Axes = new Dictionary<string, Axis>(StringComparer.Ordinal) { ["x"] = none, ["y"] = none } },
                trace.ToString());
        }

        var roles = RolesInOrder(trace, drawn);
        (Component Component, string Role)[] places =
            [.. drawn.SelectMany(edge => new[] { (Sender(edge), edge.Role), (Receiver(edge), edge.DestinationRole) }).Distinct()];
        var cells = places.GroupBy(place => (place.Role, Level(place.Component)))
            .ToDictionary(cell => cell.Key, cell => cell.OrderBy(place => place.Component.Index).Select(place => place.Component).ToArray());

        // A column is as wide as its fullest layer needs.
        var (starts, widths, at) = (new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, double>(StringComparer.Ordinal), 0.0);
        foreach (var role in roles)
        {
            widths[role] = Math.Max(1.6, cells.Where(cell => cell.Key.Role == role).Max(cell => cell.Value.Length)) + 0.5;
            starts[role] = at;
            at += widths[role];
        }

        // Layers without a node are left out: of a deep model a circuit touches few.
        double[] layers = [.. places.Select(place => Math.Floor(Level(place.Component))).Distinct().Order()];
        double Row(Component component) => Array.IndexOf(layers, Math.Floor(Level(component))) + (Level(component) - Math.Floor(Level(component)));
        var fired = trace.Firings;
        GraphNode[] nodes =
        [
            .. places.Select(place =>
            {
                var level = Level(place.Component);
                var cell = cells[(place.Role, level)];
                var x = starts[place.Role] + (widths[place.Role] / 2) + Array.IndexOf(cell, place.Component) - ((cell.Length - 1) / 2.0);
                var hover = $"at {place.Role}" + (place.Component.Kind == ComponentKind.Head
                    && fired.TryGetValue(new Head(place.Component.Layer, place.Component.Index), out var count) ? $", fires {Count(count)} times" : "");
                return new GraphNode(Id(place.Component, place.Role), Label(place.Component), x, Row(place.Component), (int)place.Component.Kind, hover);
            }),
        ];
        var figure = Graph(
            nodes,
            [
                .. drawn.Select(edge => new GraphEdge(
                    Id(Sender(edge), edge.Role),
                    Id(Receiver(edge), edge.DestinationRole),
                    edge.Total,
                    (int)edge.Side,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{edge.Sender} at {edge.Role} → {edge.Receiver} ({edge.DestinationRole} attends to {edge.SourceRole}): {edge.Weight:0.###}, {edge.Count} times"))),
            ],
            title,
            [.. Enum.GetValues<ComponentKind>().Select(KindName)],
            ["read at the source", "read at the destination"]);
        return figure with
        {
            Layout = figure.Layout with
            {
                Width = Math.Clamp((at * 31) + 110, 480, 1500),
                Height = Math.Clamp(layers.Length * 62, 240, 1100) + 150,
                Shapes =
                [
                    .. roles.Skip(1).Select(role => new Shape
                    {
                        Type = "line", X0 = starts[role], X1 = starts[role], Y0 = 0, Y1 = 1, YRef = "paper", Layer = "below", Line = new Line { Color = FigureStyle.Light.Grid, Width = 1 },
                    }),
                ],
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new()
                    {
                        Title = "token",
                        TickVals = roles.Select(role => starts[role] + (widths[role] / 2)).ToArray(),
                        TickText = [.. roles.Select(PlotlyText.Escape)],
                        Range = [-0.1, at + 0.1],
                        ShowGrid = false,
                        ZeroLine = false,
                    },
                    ["y"] = new()
                    {
                        Title = layers[^1] - layers[0] >= layers.Length ? "layer (those without a node left out)" : "layer",
                        TickVals = Enumerable.Range(0, layers.Length).ToArray(),
                        TickText = [.. layers.Select(layer => layer < 0 ? "embeddings" : layer.ToString(CultureInfo.InvariantCulture))],
                        Range = [-0.6, nodes.Max(node => node.Y) + 0.6],
                        ZeroLine = false,
                    },
                },
            },
            Caption = $"{title}: {drawn.Length} of {trace.Edges.Count} edges. Strongest: "
                + string.Join("; ", drawn.Take(5).Select(edge => $"{edge.Sender} → {edge.Receiver} at {edge.Role}")) + ".",
        };

        // An MLP writes after the heads of its layer.
        static double Level(Component component) => component.Kind switch
        {
            ComponentKind.TokenEmbedding or ComponentKind.PositionEmbedding or ComponentKind.Constant => -1,
            ComponentKind.Mlp => component.Layer + 0.5,
            _ => component.Layer,
        };

        static string Id(Component component, string role) => $"{component}@{role}";

        static Component Sender(CircuitEdge edge) => Component.Parse(edge.Sender) ?? new(ComponentKind.Constant);

        static Component Receiver(CircuitEdge edge) => new(ComponentKind.Head, edge.Receiver.Layer, edge.Receiver.Index);
    }

    /// <summary>How sparse the signals of a model's heads are: the mean number of singular directions that make a score, for the heads that
    /// fire most; the line through a bar is one standard deviation to each side.</summary>
    /// <param name="signals">The firings.</param>
    /// <param name="heads">How many heads are shown at most.</param>
    /// <returns>The figure.</returns>
    public static Figure SignalDirections(Signals signals, int heads = 30)
    {
        ArgumentNullException.ThrowIfNull(signals);
        ArgumentOutOfRangeException.ThrowIfLessThan(heads, 1);
        return Bars(
            [.. MostFiring(signals, heads).Select(row => ((string)row["head"], (double)row["mean_directions"], (double)row["deviation_directions"]))],
            $"Signals of {signals.Model}, {signals.Prompts.Count} {signals.Prompts.Name} prompts",
            $"directions of {signals.HeadWidth} that make a score");
    }

    /// <summary>The same heads as a table: how often each fires, how many directions make its scores, and where its most frequent direction
    /// is written and read.</summary>
    /// <param name="signals">The firings.</param>
    /// <param name="heads">How many heads are shown at most.</param>
    /// <returns>The figure.</returns>
    public static Figure SignalTable(Signals signals, int heads = 30)
    {
        ArgumentNullException.ThrowIfNull(signals);
        ArgumentOutOfRangeException.ThrowIfLessThan(heads, 1);
        return Table(
            ["head", "firings", "directions", "most frequent", "destination tokens", "source tokens"],
            [
                .. MostFiring(signals, heads).Select(row => (string[])
                [
                    (string)row["head"],
                    Count((int)row["firings"]),
                    ((double)row["mean_directions"]).ToString("0.0", CultureInfo.InvariantCulture),
                    string.Create(CultureInfo.InvariantCulture, $"{row["direction"]} in {100 * (double)row["share"]:0} %"),
                    (string)row["destination_tokens"],
                    (string)row["source_tokens"],
                ]),
            ],
            $"Heads of {signals.Model} by firings",
            [1, 1, 1, 1.6, 3, 3]);
    }

    /// <summary>The singular values of a head's Omega, with the directions of a firing's sparse set marked.</summary>
    /// <param name="omega">The decomposition.</param>
    /// <param name="marked">The firing; null to mark none.</param>
    /// <returns>The figure.</returns>
    public static Figure SingularValues(Omega omega, Firing? marked = null)
    {
        ArgumentNullException.ThrowIfNull(omega);
        using var scope = NewDisposeScope();
        var values = omega.S.cpu().data<double>().ToArray();
        var chosen = marked?.Directions.ToHashSet() ?? [];
        var style = FigureStyle.Light;
        Scatter Some(string name, Func<int, bool> which, string color) => new()
        {
            Name = name,
            Mode = "markers",
            X = Enumerable.Range(0, values.Length).Where(which).ToArray(),
            Y = Enumerable.Range(0, values.Length).Where(which).Select(k => values[k]).ToArray(),
            Marker = new Marker { Color = color, Size = 7 },
            HoverTemplate = "direction %{x}<br>singular value %{y:.4g}<extra></extra>",
        };
        return new Figure(
            chosen.Count == 0 ? [Some("all", _ => true, style.Palette[0])] : [Some("not in the set", k => !chosen.Contains(k), style.Palette[0]), Some("in the sparse set", chosen.Contains, style.Palette[1])],
            new Layout
            {
                Title = $"Singular values of head {omega.Head}",
                Width = 560,
                Height = 360,
                ShowLegend = chosen.Count > 0,
                Legend = new Legend { Orientation = "h", X = 0, Y = 1.02, YAnchor = "bottom" },
                Margin = new Margin { T = chosen.Count > 0 ? 84 : 60 },
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { Title = "direction", ZeroLine = false },
                    ["y"] = new() { Title = "singular value", Type = "log", ZeroLine = false },
                },
            },
            $"The {values.Length} singular values of Omega of head {omega.Head}, from {PlotlyText.Number(values.FirstOrDefault())} to {PlotlyText.Number(values.LastOrDefault())}.");
    }

    /// <summary>Which singular directions make an attention score: the sparse set of a firing, strongest first.</summary>
    /// <param name="firing">The firing.</param>
    /// <returns>The figure.</returns>
    public static Figure SignalContributions(Firing firing)
    {
        ArgumentNullException.ThrowIfNull(firing);
        return Bars(
            [.. firing.Directions.Select((direction, i) => ($"direction {direction}", firing.Contributions[i], 0.0))],
            $"Score {PlotlyText.Number(firing.Score)} of head {firing.Head}, {firing.Destination} attends to {firing.Source}",
            "contribution to the score");
    }

    /// <summary>Who wrote a signal: what every earlier component adds to it.</summary>
    /// <param name="upstream">The parts.</param>
    /// <param name="most">How many parts are shown at most, the largest in size; the rest is shown as one.</param>
    /// <returns>The figure.</returns>
    public static Figure Upstream(Upstream upstream, int most = 20)
    {
        ArgumentNullException.ThrowIfNull(upstream);
        var parts = upstream.Table.Rows.Select(row => (Component: (string)row["component"], Value: (double)row["part"])).OrderByDescending(part => Math.Abs(part.Value)).ToArray();
        var rest = parts.Skip(most).Sum(part => part.Value);
        return Bars(
            [
                .. parts.Take(most).OrderByDescending(part => part.Value).Select(part => (Name(part.Component), part.Value, 0.0)),
                .. parts.Length > most ? new[] { ($"{parts.Length - most} others", rest, 0.0) } : [],
            ],
            $"Who wrote the signal, {(upstream.Side == SignalSide.Source ? "source" : "destination")} token {upstream.Position}",
            $"part of {PlotlyText.Number(upstream.Total)}");

        static string Name(string component) => Head.TryParse(component, out _) ? $"head {component}" : component;
    }

    /// <summary>A number for every head, such as its direct effect on the logit difference.</summary>
    /// <param name="values">The numbers, [layer, head].</param>
    /// <param name="title">What is shown; any text.</param>
    /// <param name="valueName">What the numbers are; any text.</param>
    /// <returns>The figure; colours are symmetric about 0 when a number is negative.</returns>
    public static Figure HeadGrid(Tensor values, string title, string valueName)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(title);
        var grid = Grid.Of(values);
        var (low, high) = grid.Extent;
        var end = Math.Max(Math.Max(-low, high), 1e-9f);
        return new Figure(
            [
                new HeatMap
                {
                    Z = grid,
                    ZMin = low < 0 ? -end : 0,
                    ZMax = end,
                    ColorScale = low < 0 ? ColorScale.Diverging : ColorScale.Sequential,
                    ColorBar = Bar(PlotlyText.Escape(valueName)),
                    HoverTemplate = $"head %{{y}}.%{{x}}<br>{PlotlyText.Escape(valueName)} %{{z:.4g}}<extra></extra>",
                    HoverOnGaps = false,
                    XGap = grid.Columns > 40 ? 0 : 1,
                    YGap = grid.Rows > 40 ? 0 : 1,
                },
            ],
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = Math.Clamp(grid.Columns * 34.0, 280, 720) + 170,
                Height = Math.Clamp(grid.Rows * 24.0, 190, 780) + 130,
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = Indices("head", grid.Columns),
                    ["y"] = Indices("layer", grid.Rows, reversed: true),
                },
            },
            $"{title}: {valueName} of {grid.Rows} × {grid.Columns} heads, from {PlotlyText.Number(low)} to {PlotlyText.Number(high)}.");
    }

    /// <summary>The roles in the order of their tokens, as the traces show it.</summary>
    private static string[] RolesInOrder(Circuit trace, IReadOnlyList<CircuitEdge> edges)
    {
        var places = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        var steps = trace.Walked.ToLookup(step => (step.Receiver.Prompt, step.Receiver.Head, step.Sender, step.Side));
        foreach (var edge in edges)
        {
            foreach (var step in steps[(edge.FirstPrompt, edge.Receiver, edge.Sender!, edge.Side)].Take(1))
            {
                Note(edge.Role, step.Receiver.Place.Position(step.Side));
                Note(edge.DestinationRole, step.Receiver.Place.Destination);
            }
        }

        return
        [
            .. edges.SelectMany(edge => new[] { edge.Role, edge.DestinationRole }).Distinct(StringComparer.Ordinal)
                .OrderBy(role => places.TryGetValue(role, out var seen) ? seen.Average() : double.MaxValue),
        ];

        void Note(string role, int position)
        {
            if (!places.TryGetValue(role, out var seen))
            {
                places.Add(role, seen = []);
            }

            seen.Add(position);
        }
    }

    private static string Label(Component component) => component.Kind switch
    {
        ComponentKind.Mlp => "mlp",
        ComponentKind.TokenEmbedding => "tok",
        ComponentKind.PositionEmbedding => "pos",
        ComponentKind.Head => component.ToString(),
        _ => "bias",
    };

    private static string KindName(ComponentKind kind) => kind switch
    {
        ComponentKind.Head => "head",
        ComponentKind.Mlp => "MLP",
        ComponentKind.TokenEmbedding => "token embedding",
        ComponentKind.PositionEmbedding => "position embedding",
        _ => "bias",
    };

    private static IEnumerable<DataFrameRow> MostFiring(Signals signals, int heads) =>
        signals.ByHead(tokens: 3).Rows.OrderByDescending(row => (int)row["firings"]).Take(heads);
}
