using System.Globalization;
using Microsoft.Data.Analysis;
using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    /// <summary>How sparse the signals of a model's heads are: the mean number of singular directions that make a score, for the heads that fire most; the
    /// line through a bar is one standard deviation to each side.</summary>
    /// <param name="signals">The firings.</param>
    /// <param name="heads">How many heads are shown at most; the title says of how many.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No head is to be shown.</exception>
    public static GenericChart SignalDirections(Signals signals, int heads = 30)
    {
        var (rows, which) = MostFiring(signals, heads);
        return Bars(
            [.. rows.Select(row => ((string)row["head"], (double)row["mean_directions"], (double)row["deviation_directions"]))],
            $"Signals of {signals.Model}, {PlotlyText.Count(signals.Prompts.Count)} {signals.Prompts.Name} prompts, {which}",
            $"directions of {signals.HeadWidth} that make a score");
    }

    /// <summary>The same heads as a table: how often each fires, how many directions make its scores, and where its most frequent direction is written and
    /// read.</summary>
    /// <param name="signals">The firings.</param>
    /// <param name="heads">How many heads are shown at most; the title says of how many.</param>
    /// <param name="tokens">How many tokens are named at each side.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No head is to be shown.</exception>
    public static GenericChart SignalTable(Signals signals, int heads = 15, int tokens = 3)
    {
        var (rows, which) = MostFiring(signals, heads, tokens);
        (string Head, double Left, Func<DataFrameRow, string> Cell)[] columns =
        [
            ("head", 0, row => (string)row["head"]),
            ("firings", 0.08, row => PlotlyText.Count((int)row["firings"])),
            ("directions", 0.18, row => string.Create(CultureInfo.InvariantCulture, $"{row["mean_directions"]:0.0} of {signals.HeadWidth}")),
            ("most frequent", 0.33, row => string.Create(CultureInfo.InvariantCulture, $"number {row["direction"]}<br>in {100 * (double)row["share"]:0} &#37;")),
            ("at destinations", 0.53, row => Lines((string)row["destination_tokens"])),
            ("at sources", 0.78, row => Lines((string)row["source_tokens"])),
        ];
        var title = $"Signals of {signals.Model}, {PlotlyText.Count(signals.Prompts.Count)} {signals.Prompts.Name} prompts, {which}";
        return Chart(
            columns.Select(column => Texts(rows.Select(column.Cell).Prepend($"<b>{column.Head}</b>").Select((text, row) => (column.Left, (double)row, text)), "middle right", Font(new { size = 11 }))),
            Figure(PlotlyText.Escape(title), 860, (rows.Length * (10 + (15 * tokens))) + 110, new
            {
                xaxis = Axis(null, new { range = new[] { 0, 1 }, visible = false }),
                yaxis = Axis(null, new { range = new[] { rows.Length + 0.5, -0.5 }, showticklabels = false, ticks = "", zeroline = false, tickvals = Enumerable.Range(0, rows.Length).Select(row => row + 0.5).ToArray() }),
            }),
            $"{title}: {string.Join(", ", columns.Select(column => column.Head))}.",
            new PaperLayout(rows.Length + 1, Math.Max(2, tokens) * 2.9));

        // One token a line; a table's cell has `" a" (3), " b" (1)`. Of a token that is too long the count stays.
        static string Lines(string cell) => string.Join("<br>", cell.Replace("), \"", ")\n\"", StringComparison.Ordinal).Split(")\n").Select(token =>
        {
            const int Letters = 14;
            var count = Math.Max(0, token.LastIndexOf("\" (", StringComparison.Ordinal));
            var lines = Wrapped(token[..count], Letters - (token.Length - count));
            return PlotlyText.Escape($"{lines.FirstOrDefault()}{(lines.Length > 1 ? "…" : "")}{token[count..].TrimEnd(')')})");
        }));
    }

    /// <summary>The singular values of a head's Omega, with the directions of a firing's sparse set marked.</summary>
    /// <param name="omega">The decomposition.</param>
    /// <param name="marked">The firing; null to mark none.</param>
    /// <returns>The chart.</returns>
    public static GenericChart SingularValues(Omega omega, Firing? marked = null)
    {
        ArgumentNullException.ThrowIfNull(omega);
        var values = omega.S.Copied<double>();
        var chosen = marked?.Directions.ToHashSet() ?? [];

        // Powers of 2, or of 10 where they are many: what plotly.js writes between powers of 10 is too small for paper.
        var dtick = values.Length > 0 && values[0] < 100 * values[^1] ? Math.Log10(2) : 1;
        Trace Some(string name, Func<int, bool> which, int color, string symbol)
        {
            int[] some = [.. Enumerable.Range(0, values.Length).Where(which)];
            return Scatter(new
            {
                name, mode = "markers", x = some, y = some.Select(k => Finite(values[k])).ToArray(), marker = Marker(new { color = ChartStyle.Palette[color], size = 7, symbol }),
                hovertemplate = "direction %{x}<br>singular value %{y:.4g}<extra></extra>",
            });
        }

        return Chart(
            chosen.Count == 0 ? [Some("all", _ => true, 0, "circle")] : [Some("not in the set", k => !chosen.Contains(k), 0, "circle"), Some("in the sparse set", chosen.Contains, 1, "diamond")],
            Figure($"Singular values of head {omega.Head}", 560, 360, new
            {
                showlegend = chosen.Count > 0, xaxis = Axis("direction", new { zeroline = false }), yaxis = Axis("singular value", new { type = "log", dtick, zeroline = false }),
            }).LegendAbove(),
            $"The {values.Length} singular values of Omega of head {omega.Head}, from {PlotlyText.Number(values.FirstOrDefault())} to {PlotlyText.Number(values.LastOrDefault())}"
            + (chosen.Count > 0 ? $"; in the sparse set of a firing are {string.Join(", ", chosen.Order())}." : "."));
    }

    /// <summary>Which singular directions make an attention score: the sparse set of a firing, strongest first, and what the others add.</summary>
    /// <param name="firing">The firing.</param>
    /// <returns>The chart.</returns>
    public static GenericChart SignalContributions(Firing firing)
    {
        ArgumentNullException.ThrowIfNull(firing);
        return Bars(
            [.. firing.Directions.Select((direction, i) => ($"direction {direction}", firing.Contributions[i], 0.0)), ("all others", firing.Remainder, 0.0)],
            $"Score {PlotlyText.Number(firing.Score)} of head {firing.Head}, token {firing.Destination} attends to token {firing.Source}",
            "contribution to the score");
    }

    /// <summary>Who wrote a signal: what every earlier component adds to it.</summary>
    /// <param name="upstream">The parts.</param>
    /// <param name="most">How many parts are shown at most, the largest in size; the rest is shown as one.</param>
    /// <returns>The chart.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No part is to be shown.</exception>
    public static GenericChart Upstream(Upstream upstream, int most = 20)
    {
        ArgumentNullException.ThrowIfNull(upstream);
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 1);
        var parts = upstream.Table.Rows.Select(row => (Component: (string)row["component"], Value: (double)row["part"])).OrderByDescending(part => Math.Abs(part.Value)).ToArray();
        return Bars(
            [
                .. parts.Take(most).OrderByDescending(part => part.Value).Select(part => (PlotlyText.Component(part.Component), part.Value, 0.0)),
                .. parts.Length > most ? new[] { ($"{parts.Length - most} others", parts.Skip(most).Sum(part => part.Value), 0.0) } : [],
            ],
            $"Who wrote the signal of head {upstream.Firing.Head}, {(upstream.Side == SignalSide.Source ? "source" : "destination")} token {upstream.Position}",
            $"part of {PlotlyText.Number(upstream.Total)}");
    }

    private static (DataFrameRow[] Rows, string Which) MostFiring(Signals signals, int heads, int tokens = 3)
    {
        ArgumentNullException.ThrowIfNull(signals);
        ArgumentOutOfRangeException.ThrowIfLessThan(heads, 1);
        DataFrameRow[] rows = [.. signals.ByHead(tokens).Rows.OrderByDescending(row => (int)row["firings"])];
        return (rows[..Math.Min(heads, rows.Length)], heads < rows.Length ? $"the {heads} of {rows.Length} heads that fire most" : $"{rows.Length} heads");
    }
}
