using HeadScope.Notebooks.Plotly;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>Bars with labels, from top to bottom.</summary>
    /// <param name="bars">The bars: label, number, and how far the number spreads (0 for not at all).</param>
    /// <param name="title">What is shown; any text, as is the title of the axis.</param>
    /// <param name="valueTitle">What the numbers are.</param>
    /// <returns>The figure.</returns>
    public static Figure Bars(IReadOnlyList<(string Label, double Value, double Spread)> bars, string title, string valueTitle)
    {
        ArgumentNullException.ThrowIfNull(bars);
        ArgumentNullException.ThrowIfNull(title);
        var style = FigureStyle.Light;
        var labels = bars.Select(bar => PlotlyText.Escape(bar.Label)).ToArray();
        return new Figure(
            [
                new Bar
                {
                    X = bars.Select(bar => bar.Value).ToArray(),
                    Y = Enumerable.Range(0, bars.Count).ToArray(),
                    Orientation = "h",
                    Text = [.. bars.Select(bar => $"{PlotlyText.Escape(bar.Label)}: {PlotlyText.Number(bar.Value)}{(bar.Spread > 0 ? $" ± {PlotlyText.Number(bar.Spread)}" : "")}")],
                    TextPosition = "none",
                    HoverTemplate = "%{text}<extra></extra>",
                    ErrorX = bars.Any(bar => bar.Spread > 0)
                        ? new ErrorBars { Array = bars.Select(bar => Math.Max(0, bar.Spread)).ToArray(), Thickness = 1.2, Width = 3 }
                        : null,
                    Marker = new Marker { Color = bars.Select(bar => style.Palette[bar.Value < 0 ? 1 : 0]).ToArray() is { Length: > 1 } colors ? colors : style.Palette[0] },
                },
            ],
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = 560,
                Height = Math.Clamp(bars.Count * 22.0, 80, 900) + 130,
                BarGap = 0.25,
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { Title = PlotlyText.Escape(valueTitle), ZeroLine = true },
                    ["y"] = Labelled(null, labels, reversed: true),
                },
            },
            $"{title}: {valueTitle} of {string.Join(", ", bars.Take(5).Select(bar => $"{bar.Label} ({PlotlyText.Number(bar.Value)})"))}{(bars.Count > 5 ? ", …" : "")}.");
    }

    /// <summary>A table as a figure, for papers; in notebooks results show as tables that can be sorted.</summary>
    /// <param name="columns">The heads of the columns; any text.</param>
    /// <param name="rows">The rows; any text.</param>
    /// <param name="title">What is shown.</param>
    /// <param name="widths">The widths of the columns, in proportion; alike when null.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">A row has not as many cells as there are columns.</exception>
    public static Figure Table(IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<string>> rows, string title, IReadOnlyList<double>? widths = null)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(title);
        if (rows.FirstOrDefault(row => row.Count != columns.Count) is { } odd)
        {
            throw new ArgumentException($"A row has {odd.Count} cells; expected {columns.Count}, one for each column.", nameof(rows));
        }

        return new Figure(
            [
                new Table
                {
                    Header = new TableCells { Values = [.. columns.Select(column => new[] { $"<b>{PlotlyText.Escape(column)}</b>" })], Align = [.. columns.Select(_ => "left")], Height = 26 },
                    Cells = new TableCells
                    {
                        Values = [.. columns.Select((_, c) => (IReadOnlyList<string>)[.. rows.Select(row => PlotlyText.Escape(row[c]))])],
                        Align = [.. columns.Select(_ => "left")],
                        Height = 24,
                    },
                    ColumnWidth = widths,
                },
            ],
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = 760,
                Height = (rows.Count * 24.0) + 110,
                Margin = new Margin { L = 12, R = 12, T = 54, B = 12 },
            },
            $"{title}: {rows.Count} rows of {string.Join(", ", columns)}.");
    }

    /// <summary>Nodes and the arrows between them.</summary>
    /// <param name="nodes">The nodes.</param>
    /// <param name="edges">The edges; those whose ends are no nodes are refused.</param>
    /// <param name="title">What is shown; any text.</param>
    /// <param name="kinds">The names of the kinds of nodes, for the legend; none for no legend.</param>
    /// <param name="edgeKinds">The names of the kinds of edges, for the legend.</param>
    /// <returns>The figure; its axes have no titles, which the caller may set.</returns>
    /// <exception cref="ArgumentException">An edge names a node that is not there.</exception>
    public static Figure Graph(
        IReadOnlyList<GraphNode> nodes, IReadOnlyList<GraphEdge> edges, string title, IReadOnlyList<string>? kinds = null, IReadOnlyList<string>? edgeKinds = null)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(edges);
        ArgumentNullException.ThrowIfNull(title);
        var style = FigureStyle.Light;
        var byId = nodes.ToDictionary(node => node.Id, StringComparer.Ordinal);
        if (edges.FirstOrDefault(edge => !byId.ContainsKey(edge.From) || !byId.ContainsKey(edge.To)) is { } loose)
        {
            throw new ArgumentException($"The edge from '{loose.From}' to '{loose.To}' has no node at one of its ends.", nameof(edges));
        }

        var heaviest = edges.Select(edge => Math.Abs(edge.Weight)).DefaultIfEmpty(1).Max();
        string EdgeColor(int kind) => style.Palette[(kind + 4) % style.Palette.Count];

        // Lines that end in an arrow, not Plotly's annotations, which lie above everything: edges must not cross out the names of nodes.
        var traces = edges.OrderBy(edge => Math.Abs(edge.Weight)).Select(Trace (edge) =>
        {
            var part = heaviest > 0 ? Math.Abs(edge.Weight) / heaviest : 0;
            return new Scatter
            {
                Mode = "lines+markers",
                X = new[] { byId[edge.From].X, byId[edge.To].X },
                Y = new[] { byId[edge.From].Y, byId[edge.To].Y },
                Line = new Line { Color = EdgeColor(edge.Kind), Width = Math.Round(0.6 + (2.9 * part), 2) },
                Marker = new Marker
                {
                    Symbol = "arrow",
                    AngleRef = "previous",
                    Color = EdgeColor(edge.Kind),
                    Size = new[] { 0, Math.Round(9 + (5 * part), 2) },
                    Opacity = 1,
                    Line = new Line { Width = 0 },
                    Standoff = new[] { 0.0, 13 },
                },
                Opacity = Math.Round(0.35 + (0.6 * part), 2),
                HoverInfo = "skip",
                ShowLegend = false,
            };
        }).ToList();
        traces.Add(
            new Scatter
            {
                Mode = "markers",
                X = edges.Select(edge => (byId[edge.From].X + byId[edge.To].X) / 2).ToArray(),
                Y = edges.Select(edge => (byId[edge.From].Y + byId[edge.To].Y) / 2).ToArray(),
                Text = [.. edges.Select(edge => PlotlyText.Escape(edge.Hover ?? $"{byId[edge.From].Label} → {byId[edge.To].Label}: {PlotlyText.Number(edge.Weight)}"))],
                HoverTemplate = "%{text}<extra></extra>",
                Marker = new Marker { Size = 12, Color = "rgba(0,0,0,0)" },
                ShowLegend = false,
            });
        foreach (var (name, kind) in (edgeKinds ?? []).Select((name, kind) => (name, kind)).Where(k => edges.Any(edge => edge.Kind == k.kind)))
        {
            traces.Add(new Scatter
            {
                Name = PlotlyText.Escape(name),
                Mode = "lines",
                X = new[] { nodes[0].X, nodes[0].X },
                Y = new[] { nodes[0].Y, nodes[0].Y },
                Line = new Line { Color = EdgeColor(kind), Width = 2.5 },
                HoverInfo = "skip",
            });
        }

        foreach (var group in nodes.GroupBy(node => node.Kind).OrderBy(group => group.Key))
        {
            var color = style.Palette[group.Key % style.Palette.Count];
            traces.Add(new Scatter
            {
                Name = kinds is not null && group.Key < kinds.Count ? PlotlyText.Escape(kinds[group.Key]) : null,
                ShowLegend = kinds is not null,
                Mode = "markers+text",
                X = group.Select(node => node.X).ToArray(),
                Y = group.Select(node => node.Y).ToArray(),
                Text = [.. group.Select(node => PlotlyText.Escape(node.Label))],
                TextPosition = "middle center",
                TextFont = new Font { Size = 9.5, Color = "#ffffff" },
                HoverText = [.. group.Select(node => PlotlyText.Escape(node.Hover is null ? node.Label : $"{node.Label}: {node.Hover}"))],
                HoverTemplate = "%{hovertext}<extra></extra>",
                Marker = new Marker { Color = color, Size = 25, Line = new Line { Color = "#ffffff", Width = 1 } },
            });
        }

        return new Figure(
            traces,
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = 860,
                Height = 560,
                Margin = new Margin { T = 84 },
                HoverMode = "closest",
                ShowLegend = kinds is not null || edgeKinds is not null,
                Legend = new Legend { Orientation = "h", X = 0, Y = 1.02, YAnchor = "bottom" },
                Axes = new Dictionary<string, Axis>(StringComparer.Ordinal)
                {
                    ["x"] = new() { ShowGrid = false, ZeroLine = false },
                    ["y"] = new() { ZeroLine = false },
                },
            },
            $"{title}: {nodes.Count} nodes and {edges.Count} edges.");
    }

    private static Dictionary<string, Axis> Cartesian(string xTitle, string yTitle) => new(StringComparer.Ordinal)
    {
        ["x"] = new() { Title = PlotlyText.Escape(xTitle), ZeroLine = false, ShowLine = true },
        ["y"] = new() { Title = PlotlyText.Escape(yTitle), ZeroLine = false, ShowLine = true },
    };

    private static double Span(IEnumerable<double> values)
    {
        var all = values.DefaultIfEmpty(0).ToArray();
        return all.Max() - all.Min();
    }
}
