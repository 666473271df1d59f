using HeadScope.Notebooks.Plotly;

namespace HeadScope;

public static partial class Figures
{
    /// <summary>Lines, each with a band for its spread when it has one.</summary>
    /// <param name="series">The lines.</param>
    /// <param name="title">What is shown; any text, as are the titles of the axes.</param>
    /// <param name="xTitle">What goes to the right.</param>
    /// <param name="yTitle">What goes up.</param>
    /// <returns>The figure.</returns>
    /// <exception cref="ArgumentException">A line has not as many heights (or spreads) as places.</exception>
    public static Figure Lines(IReadOnlyList<LineSeries> series, string title, string xTitle, string yTitle)
    {
        ArgumentNullException.ThrowIfNull(series);
        ArgumentNullException.ThrowIfNull(title);
        var style = FigureStyle.Light;
        var traces = new List<Trace>();
        for (var i = 0; i < series.Count; i++)
        {
            var line = series[i];
            if (line.X.Count != line.Y.Count || (line.Spread is { } spread && spread.Count != line.Y.Count))
            {
                throw new ArgumentException($"The line '{line.Name}' has {line.X.Count} places and {line.Y.Count} heights; expected one height (and one spread) for each place.", nameof(series));
            }

            var color = style.Palette[i % style.Palette.Count];
            if (line.Spread is not null)
            {
                traces.Add(new Scatter
                {
                    Mode = "lines",
                    X = line.X.Concat(line.X.Reverse()).ToArray(),
                    Y = line.Y.Zip(line.Spread, (y, s) => y + s).Concat(line.Y.Zip(line.Spread, (y, s) => y - s).Reverse()).ToArray(),
                    Fill = "toself",
                    FillColor = style.Tint(i, 0.18),
                    Line = new Line { Width = 0, Color = color },
                    HoverInfo = "skip",
                    ShowLegend = false,
                    LegendGroup = PlotlyText.Escape(line.Name),
                });
            }

            traces.Add(new Scatter
            {
                Name = PlotlyText.Escape(line.Name),
                LegendGroup = PlotlyText.Escape(line.Name),
                Mode = line.X.Count <= 40 && !line.IsReference ? "lines+markers" : "lines",
                X = line.X.ToArray(),
                Y = line.Y.ToArray(),
                Line = new Line { Color = color, Width = 2, Dash = line.IsReference ? "dot" : null },
                Marker = new Marker { Color = color, Size = 6 },
                HoverTemplate = $"{PlotlyText.Escape(line.Name)}<br>{PlotlyText.Escape(xTitle)} %{{x}}<br>{PlotlyText.Escape(yTitle)} %{{y:.4g}}<extra></extra>",
            });
        }

        return new Figure(
            traces,
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = 640,
                Height = 400,
                HoverMode = "closest",
                Axes = Cartesian(xTitle, yTitle),
            },
            $"{title}: {yTitle} against {xTitle} for {string.Join(", ", series.Select(s => s.Name))}.");
    }

    /// <summary>Points with labels, and the line of least squares through them.</summary>
    /// <param name="points">The points: a label for hovering, and the two numbers.</param>
    /// <param name="title">What is shown; any text, as are the titles of the axes.</param>
    /// <param name="xTitle">What goes to the right.</param>
    /// <param name="yTitle">What goes up.</param>
    /// <param name="note">What is written into the corner, such as <c>r = 0.83, p = 2e-8, n = 32</c>.</param>
    /// <param name="labelled">How many of the points that lie farthest to the upper right have their label drawn.</param>
    /// <returns>The figure.</returns>
    public static Figure Points(
        IReadOnlyList<(string Label, double X, double Y)> points, string title, string xTitle, string yTitle, string note = "", int labelled = 5)
    {
        ArgumentNullException.ThrowIfNull(points);
        ArgumentNullException.ThrowIfNull(title);
        var finite = points.Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).ToArray();
        var (xSpan, ySpan) = (Span(finite.Select(p => p.X)), Span(finite.Select(p => p.Y)));
        var named = finite.OrderByDescending(p => (p.X / Math.Max(xSpan, 1e-12)) + (p.Y / Math.Max(ySpan, 1e-12))).Take(labelled).ToHashSet();
        var traces = new List<Trace>();
        if (finite.Length > 1 && xSpan > 0)
        {
            var (mx, my) = (finite.Average(p => p.X), finite.Average(p => p.Y));
            var slope = finite.Sum(p => (p.X - mx) * (p.Y - my)) / finite.Sum(p => (p.X - mx) * (p.X - mx));
            double[] ends = [finite.Min(p => p.X), finite.Max(p => p.X)];
            traces.Add(new Scatter
            {
                Mode = "lines",
                X = ends,
                Y = ends.Select(x => my + (slope * (x - mx))).ToArray(),
                Line = new Line { Color = FigureStyle.Light.Palette[1], Width = 1.5 },
                HoverInfo = "skip",
                ShowLegend = false,
            });
        }

        // Points at one place are drawn once: most heads share the score 0.
        var places = finite.GroupBy(p => (p.X, p.Y)).Select(place => (place.Key.X, place.Key.Y, Labels: place.Select(p => p.Label).Distinct(StringComparer.Ordinal).ToArray(),
            Named: place.Where(named.Contains).Select(p => p.Label).Distinct(StringComparer.Ordinal))).ToArray();
        var left = finite.Select(p => p.X).DefaultIfEmpty(0).Min();
        traces.Add(new Scatter
        {
            Mode = "markers+text",
            X = places.Select(p => p.X).ToArray(),
            Y = places.Select(p => p.Y).ToArray(),
            Text = [.. places.Select(p => PlotlyText.Escape(string.Join(", ", p.Named)))],
            TextPosition = places.Length == 0 ? "top center" : places.Select(p => Side((p.X - left) / Math.Max(xSpan, 1e-12))).ToArray(),
            TextFont = new Font { Size = 11 },
            HoverText = [.. places.Select(p => PlotlyText.Escape(string.Join(", ", p.Labels.Take(6))) + (p.Labels.Length > 6 ? $" and {Count(p.Labels.Length - 6)} more" : ""))],
            HoverTemplate = $"%{{hovertext}}<br>{PlotlyText.Escape(xTitle)} %{{x:.3f}}<br>{PlotlyText.Escape(yTitle)} %{{y:.3f}}<extra></extra>",
            Marker = new Marker { Color = FigureStyle.Light.Palette[0], Size = 7 },
            Opacity = 0.75,
            ClipOnAxis = false,
            ShowLegend = false,
        });
        return new Figure(
            traces,
            new Layout
            {
                Title = PlotlyText.Escape(title),
                Width = 520,
                Height = 420,
                HoverMode = "closest",
                Axes = Cartesian(xTitle, yTitle),
                Annotations = note.Length == 0
                    ? null
                    : [new Annotation { Text = PlotlyText.Escape(note), X = 0, Y = 1.01, XRef = "paper", YRef = "paper", XAnchor = "left", YAnchor = "bottom", ShowArrow = false }],
            },
            $"{title}: {yTitle} against {xTitle} of {finite.Length} points{(note.Length > 0 ? $", {note}" : "")}.");
    }

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

    /// <summary>How often numbers occur.</summary>
    /// <param name="values">The numbers; those that are not finite are left out.</param>
    /// <param name="title">What is shown; any text, as is the title of the axis.</param>
    /// <param name="valueTitle">What the numbers are.</param>
    /// <param name="bins">How many bins there are.</param>
    /// <returns>The figure.</returns>
    public static Figure Distribution(IReadOnlyList<float> values, string title, string valueTitle, int bins = 40)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(title);
        ArgumentOutOfRangeException.ThrowIfLessThan(bins, 1);
        var finite = values.Where(float.IsFinite).ToArray();
        var (low, high) = finite.Length == 0 ? (0.0, 1.0) : ((double)finite.Min(), finite.Max());

        // A trifle wider than the numbers, so that the greatest is inside of the last bin.
        var width = Math.Max((high - low) * (1 + 1e-6) / bins, 1e-9);
        return new Figure(
            [
                new Histogram
                {
                    X = finite,
                    XBins = new Bins(low, low + (width * bins), width),
                    Marker = new Marker { Color = FigureStyle.Light.Palette[0], Line = new Line { Color = "#ffffff", Width = 0.5 } },
                },
            ],
            new Layout { Title = PlotlyText.Escape(title), Width = 560, Height = 360, Axes = Cartesian(valueTitle, "count") },
            $"{title}: {finite.Length} numbers from {PlotlyText.Number(low)} to {PlotlyText.Number(high)}.");
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

    /// <summary>Where the label of a point stands so that it ends inside of the plot: the place is from 0 at the left to 1 at the right.</summary>
    private static string Side(double place) => place < 0.25 ? "top right" : place > 0.75 ? "top left" : "top center";

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
