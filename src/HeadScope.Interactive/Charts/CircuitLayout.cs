using System.Globalization;

namespace HeadScope;

/// <summary>
/// Where the boxes and arrows of a drawn circuit lie. Places to the right are millimetres of a column of a paper, into which everything must fit; places
/// upward are rows. Each role has a column, in which boxes stand one above the other, so that every arrow finds its way beside the columns; a layer
/// has as many rows as its fullest role. Signals go to later tokens and layers: arrows leave a box at its right and arrive from the left, or from the
/// right where both boxes are in one column.
/// </summary>
internal sealed class CircuitLayout
{
    /// <summary>The width of the plot.</summary>
    public const double Width = 71;

    /// <summary>Half the height of a box, in rows.</summary>
    public const double HalfBox = 0.36;

    // What lies before the first column, between two at least, and behind the last one.
    private const double Margin = 1, Gap = 2.4, LastGap = 8;

    private readonly Circuit circuit;
    private readonly Dictionary<string, (double Left, double Right)> columns = new(StringComparer.Ordinal);
    private readonly Dictionary<(Component, string), Box> boxes = [];

    /// <summary>Lays out the edges on the strongest paths, so many at most, and the strongest of each root; passed over are those for whose columns there is no room.</summary>
    public CircuitLayout(Circuit circuit, int edges)
    {
        this.circuit = circuit;
        var paths = circuit.Paths();
        var firsts = circuit.Roots.Select(root => paths.FirstOrDefault(path => IsInto(root, path.Edge)).Edge).ToHashSet();
        var places = Places([]);
        foreach (var path in paths.Where(path => Drawn.Count < edges || firsts.Contains(path.Edge)))
        {
            // What sends to a box that found no room is passed over with it.
            if (places.Contains(To(path.Edge)) && (places.Contains(From(path.Edge)) || Place([.. places, From(path.Edge)])))
            {
                places.Add(From(path.Edge));
                Drawn.Add(path);
            }
        }

        Place(places);
        Stack(places);
        var output = columns[circuit.Options.RootDestination];
        Output = new(BoxKind.Output, "logit difference", "the logit of the answer minus that of the distractor", (output.Left + Width) / 2, Top + 0.5, Width - output.Left);
        Arrows = [.. Between(), .. ToOutput()];
    }

    internal enum BoxKind
    {
        Output,
        Root,

        /// <summary>A root that reads nothing that was traced.</summary>
        SilentRoot,
        Head,
        Other,
    }

    /// <summary>A component at a token; label and hover are escaped.</summary>
    internal sealed record Box(BoxKind Kind, string Label, string Hover, double X, double Y, double Width)
    {
        public double Left => X - (Width / 2);

        public double Right => X + (Width / 2);
    }

    /// <summary>An edge: its side, or null for the direct effect of a root; hover is escaped.</summary>
    internal sealed record Arrow(SignalSide? Side, double Share, string Hover, IReadOnlyList<(double X, double Y)> Points);

    /// <summary>The edges that are drawn, those of the strongest paths first.</summary>
    public List<(CircuitEdge Edge, double Share, double Strength)> Drawn { get; } = [];

    /// <summary>The middle of each role's column, in the order of tokens.</summary>
    public IEnumerable<(string Role, double X)> Columns => columns.Select(column => (column.Key, (column.Value.Left + column.Value.Right) / 2));

    /// <summary>The middle of each layer that has a box.</summary>
    public List<(int Layer, double Y)> Layers { get; } = [];

    /// <summary>The rows below the output.</summary>
    public double Top { get; private set; }

    public Box Output { get; }

    public IReadOnlyCollection<Box> Boxes => boxes.Values;

    public IReadOnlyList<Arrow> Arrows { get; }

    /// <summary>How many boxes all edges of the circuit would need.</summary>
    public int AllBoxes => Places(circuit.Edges).Count;

    /// <summary>Why a root has no edges; null when it has some.</summary>
    public string? Silence(Head root) => circuit.Edges.Any(edge => IsInto(root, edge)) ? null
        : circuit.Walked.Any(step => step.Root.Head == root) ? "has lost its edges by pruning"
        : $"never fires from {circuit.Options.RootDestination}{(circuit.Options.RootSource is { } source ? $" to {source}" : "")}";

    private bool IsInto(Head root, CircuitEdge edge) => edge.Receiver == root && edge.DestinationRole == circuit.Options.RootDestination;

    private (Component, string) At(Head root) => (Of(root), circuit.Options.RootDestination);

    private static Component Of(Head head) => new(ComponentKind.Head, head.Layer, head.Index);

    private static (Component, string) From(CircuitEdge edge) => (Component.Parse(edge.Sender) ?? new(ComponentKind.Constant), edge.Role);

    private static (Component, string) To(CircuitEdge edge) => (Of(edge.Receiver), edge.DestinationRole);

    private HashSet<(Component Component, string Role)> Places(IEnumerable<CircuitEdge> edges) => [.. edges.SelectMany(edge => new[] { From(edge), To(edge) }), .. circuit.Roots.Select(At)];

    private string Label((Component Component, string Role) place) => place.Component.Kind switch
    {
        ComponentKind.Mlp => $"MLP {place.Component.Layer}",
        ComponentKind.AttentionBias => $"bias {place.Component.Layer}",
        ComponentKind.TokenEmbedding => "token",
        ComponentKind.PositionEmbedding => "position",
        ComponentKind.Constant => "bias",
        _ => Root(place) is { } root && circuit.RootEffects.TryGetValue(root, out var effect) ? string.Create(CultureInfo.InvariantCulture, $"{root} ({effect:+0.00;−0.00})") : $"{place.Component}",
    };

    private Head? Root((Component, string) place) => circuit.Roots.Where(root => At(root) == place).Select(root => (Head?)root).FirstOrDefault();

    // Helvetica of 6 points, and a little air.
    private static double WidthOf(string label) =>
        1.2 + (2.117 * label.Sum(letter => letter switch { '.' or ' ' or 'i' or 'l' => 0.28, 'M' => 0.83, '(' or ')' or 't' or 'f' => 0.33, _ => 0.56 }));

    /// <summary>Places the columns, with the more room behind one the more arrows rise there; whether they fit.</summary>
    private bool Place(IEnumerable<(Component Component, string Role)> places)
    {
        var order = circuit.Roles.Index().ToDictionary(role => role.Item, role => role.Index, StringComparer.Ordinal);
        var widths = places.GroupBy(place => place.Role, StringComparer.Ordinal).OrderBy(column => order.GetValueOrDefault(column.Key, int.MaxValue))
            .Select(column => (Role: column.Key, Width: column.Max(place => WidthOf(Label(place))))).ToArray();
        var arrows = widths.Select(column => 1 + Math.Sqrt(Drawn.Count(path => path.Edge.Role == column.Role))).ToArray();
        var free = Width - Margin - LastGap - (Gap * (widths.Length - 1)) - widths.Sum(column => column.Width);
        var at = Margin;
        columns.Clear();
        foreach (var (i, (role, width)) in widths.Index())
        {
            columns.Add(role, (at, at + width));
            at += width + Gap + (Math.Max(0, free) * arrows[i] / arrows.Sum());
        }

        return free >= 0;
    }

    private void Stack(IEnumerable<(Component Component, string Role)> places)
    {
        foreach (var layer in places.GroupBy(place => place.Component.Layer).OrderBy(layer => layer.Key))
        {
            // An MLP writes after the heads of its layer.
            var cells = layer.GroupBy(place => place.Role, StringComparer.Ordinal)
                .Select(cell => cell.OrderBy(place => place.Component.Kind).ThenBy(place => place.Component.Index).ToArray()).ToArray();
            var rows = cells.Max(cell => cell.Length);
            foreach (var cell in cells)
            {
                foreach (var (i, place) in cell.Index())
                {
                    var column = columns[place.Role];
                    boxes.Add(place, BoxOf(place, (column.Left + column.Right) / 2, Top + i + ((rows - cell.Length) / 2.0)));
                }
            }

            Layers.Add((layer.Key, Top + ((rows - 1) / 2.0)));
            Top += rows;
        }
    }

    private Box BoxOf((Component Component, string Role) place, double x, double y)
    {
        var isHead = place.Component.Kind == ComponentKind.Head;
        var (root, silence) = (Root(place), Root(place) is { } head ? Silence(head) : null);
        var hover = $"{(isHead ? "head " : "")}{place.Component} at {PlotlyText.Escape(place.Role)}"
            + (isHead && circuit.Firings.TryGetValue(new(place.Component.Layer, place.Component.Index), out var count) ? $"<br>fires {PlotlyText.Count(count)} times" : "")
            + (root is not null && circuit.RootEffects.TryGetValue(root.Value, out var effect) ? $"<br>direct effect {PlotlyText.Number(effect)} logits" : "")
            + (silence is null ? "" : $"<br>{PlotlyText.Escape(silence)}");
        var kind = root is not null ? (silence is null ? BoxKind.Root : BoxKind.SilentRoot) : isHead ? BoxKind.Head : BoxKind.Other;
        return new(kind, PlotlyText.Escape(Label(place)), hover, x, y, WidthOf(Label(place)));
    }

    private IEnumerable<Arrow> Between()
    {
        // From one column the arrows to different heads rise at different places, those to the highest first, so that they cross seldom.
        var goals = Drawn.Where(path => path.Edge.Role != path.Edge.DestinationRole).Select(path => (path.Edge.Role, To: boxes[To(path.Edge)])).Distinct().OrderByDescending(goal => goal.To.Y).ToLookup(goal => goal.Role, goal => goal.To, StringComparer.Ordinal);
        foreach (var (edge, share, _) in Drawn)
        {
            var (goal, ofRole) = (boxes[To(edge)], goals[edge.Role].ToArray());
            var hover = string.Create(CultureInfo.InvariantCulture, $"{edge.Sender} at {edge.Role} → {edge.Receiver} ({edge.DestinationRole} attends to {edge.SourceRole}): ")
                + string.Create(CultureInfo.InvariantCulture, $"{edge.Weight:0.###}, {edge.Count} times; {100 * share:0.#} % of what it reads on this side");
            yield return new(edge.Side, share, PlotlyText.Escape(hover), [.. Way(boxes[From(edge)], goal, columns[edge.Role], columns[edge.DestinationRole], (Array.IndexOf(ofRole, goal) + 1.0) / (ofRole.Length + 1))]);
        }
    }

    /// <summary>The way from one box to another; <paramref name="part"/> says where, between two columns, it rises.</summary>
    private IEnumerable<(double X, double Y)> Way(Box from, Box to, (double Left, double Right) start, (double Left, double Right) end, double part)
    {
        if (end.Left < start.Left)
        {
            return Bend((from.Left, from.Y), (from.Left + to.Right) / 2, (to.Right, to.Y));
        }

        var right = columns.Values.Select(column => column.Left - 0.5).Append(Width).First(left => left > start.Left);
        if (start == end)
        {
            var passed = boxes.Values.Where(box => box.X == from.X && box.Y >= from.Y && box.Y <= to.Y).Max(box => box.Right);
            var reach = Math.Min(1 + (0.3 * Math.Abs(to.Y - from.Y)), (right - passed) * 0.9);
            return [(from.Right, from.Y), .. Bend((passed, from.Y), passed + reach, (passed, to.Y), 4 / 3.0), (to.Right, to.Y)];
        }

        // Level, it passes between the boxes of the columns on its way, in the row of its end if that is free.
        var rise = start.Right + ((right - start.Right) * part);
        Box[] between = [.. boxes.Values.Where(box => box.X > right && box.X < end.Left)];
        if (between.Length == 0)
        {
            return [(from.Right, from.Y), .. Bend((start.Right, from.Y), rise, (right, to.Y)), (to.Left, to.Y)];
        }

        var level = Enumerable.Range(-6, 13).Select(shift => shift / 4.0).MinBy(shift => Math.Abs(shift) + (between.Min(box => Math.Abs(box.Y - to.Y - shift)) switch
        {
            < HalfBox + 0.1 => 9,
            < HalfBox + 0.3 => 0.6,
            _ => 0,
        })) + to.Y;
        var last = columns.Values.Where(column => column.Right < end.Left).Max(column => column.Right) + 0.5;
        return [(from.Right, from.Y), .. Bend((start.Right, from.Y), rise, (right, level)), .. Bend((last, level), (last + end.Left) / 2, (end.Left, to.Y)), (to.Left, to.Y)];
    }

    private IEnumerable<Arrow> ToOutput()
    {
        var strongest = circuit.RootEffects.Values.Select(Math.Abs).DefaultIfEmpty(0).Max();
        var goal = Output.Y - HalfBox + 0.1;
        foreach (var (i, (root, box)) in circuit.Roots.Select(root => (root, boxes[At(root)])).OrderByDescending(root => root.Item2.Y).Index())
        {
            var hasEffect = circuit.RootEffects.TryGetValue(root, out var effect);
            var hover = $"{root} → logit difference{(hasEffect ? $": {PlotlyText.Number(effect)} logits" : "")}";
            var x = box.Right + ((Width - box.Right) * i / circuit.Roots.Count);
            yield return new(null, strongest > 0 ? Math.Abs(effect) / strongest / 2 : 0.2, hover, i == 0
                ? [(box.X, box.Y + HalfBox), (box.X, goal)]
                : [.. Bend((box.Right, box.Y), x, (x, Math.Min(box.Y + 1, goal - 0.1)), 1, turns: true), (x, goal)]);
        }
    }

    /// <summary>A smooth curve that leaves and arrives level and rises near <paramref name="x"/>; one that turns arrives upright.</summary>
    private static IReadOnlyList<(double X, double Y)> Bend((double X, double Y) from, double x, (double X, double Y) to, double reach = 1, bool turns = false)
    {
        var (first, second) = (from.X + ((x - from.X) * reach), to.X + ((x - to.X) * reach));
        return
        [
            .. Enumerable.Range(0, 25).Select(i => i / 24.0).Select(t => (
                Bezier(from.X, first, second, to.X, t),
                Bezier(from.Y, from.Y, turns ? from.Y : to.Y, to.Y, t))),
        ];
    }

    private static double Bezier(double a, double b, double c, double d, double t) =>
        ((1 - t) * (1 - t) * (1 - t) * a) + (3 * (1 - t) * (1 - t) * t * b) + (3 * (1 - t) * t * t * c) + (t * t * t * d);
}
