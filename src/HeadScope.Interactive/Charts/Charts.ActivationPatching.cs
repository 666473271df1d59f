using System.Globalization;
using Plotly.NET;
using Plotly.NET.LayoutObjects;
using Plotly.NET.TraceObjects;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    private const string HeadTitle = "heads";

    /// <summary>What patches recover of the answer: the residual stream by layer and position and heads by layer, beside each other; below them the outputs of
    /// attention and MLP where they were patched. Each map has its own colours, from -x over 0 to x.</summary>
    /// <param name="patching">The patches.</param>
    /// <returns>The chart. Under each position stands its clean token; where the corrupted one is another, it follows in brackets, and both are bold.</returns>
    public static GenericChart ActivationPatching(ActivationPatching patching)
    {
        ArgumentNullException.ThrowIfNull(patching);
        string[] tokens =
        [
            .. patching.Tokens.Zip(patching.CorruptedTokens, (clean, corrupted) => clean == corrupted ? Short(clean) : $"<b>{Short(clean)} ({Short(corrupted)})</b>"),
        ];
        (string Title, TorchSharp.torch.Tensor? Values)[] all =
            [("residual stream before the layer", patching.Residual), (HeadTitle, patching.Heads), ("attention output", patching.AttentionOutput), ("MLP output", patching.MlpOutput)];
        var maps = all.Where(map => map.Values is not null).Select(map => (map.Title, AreHeads: map.Title == HeadTitle, Rows: Rows(map.Values!))).ToArray();

        // In pixels of a screen.
        var (layers, lines) = (maps[0].Rows.Length, maps.Length / 2);
        var (left, right) = ((int)Math.Clamp(tokens.Length * 22.0, 240, 480), (int)Math.Clamp(maps[1].Rows.Max(row => row.Length) * 22.0, 240, 480));
        var (high, between, below) = ((int)Math.Clamp(layers * 22.0, 160, 600), 150, 60 + (7 * Math.Min(tokens.Max(token => token.Length), 24)));
        double width = left + between + right, height = (lines * high) + ((lines - 1) * (below + 30));
        var (layout, traces, notes) = (new Layout(), new List<Trace>(), new List<Annotation>());
        foreach (var (i, (title, areHeads, rows)) in maps.Index())
        {
            var number = i == 0 ? "" : (i + 1).ToString(CultureInfo.InvariantCulture);
            var (x, top) = (i % 2 == 0 ? (From: 0.0, To: left / width) : (From: (left + between) / width, To: 1.0), 1 - (i / 2 * (high + below + 30) / height));
            var y = (From: Math.Max(0, top - (high / height)), To: top);
            var end = rows.SelectMany(row => row).Where(double.IsFinite).Select(Math.Abs).Append(1e-9).Max();
            traces.Add(HeatMap(new
            {
                z = rows.Select(row => row.Select(Finite).ToArray()).ToArray(), zmin = -end, zmax = end, xaxis = "x" + number, yaxis = "y" + number,
                text = areHeads ? null : rows.Select(_ => tokens).ToArray(), colorscale = ChartStyle.Diverging, hoverongaps = false,
                hovertemplate = (areHeads ? "head %{y}.%{x}" : "%{text}<br>layer %{y}, position %{x}") + "<br>recovered %{z:.3f}<extra></extra>",
                xgap = rows[0].Length > 40 ? 0 : 1, ygap = layers > 40 ? 0 : 1,
                colorbar = new ColorBar().With(new { title = Title("recovered").With(new { side = "right" }), x = x.To + (8 / width), xanchor = "left", y = (y.From + y.To) / 2, len = y.To - y.From, ypad = 0 }),
            }));
            layout.SetProperty("xaxis" + number, (areHeads ? Indices("head", rows[0].Length) : Labelled("position", tokens, angle: -90).With(new { tickfont = Font(new { family = ChartStyle.Monospace, size = 11 }) }))
                .With(new { domain = new[] { x.From, x.To }, anchor = "y" + number }));
            layout.SetProperty("yaxis" + number, Indices("layer", layers, reversed: true).With(new { domain = new[] { y.From, y.To }, anchor = "x" + number }));
            notes.Add(PanelTitle(title, (x.From + x.To) / 2, y.To));
        }

        var (answer, wrong) = (Short(patching.Answer), Short(patching.Wrong));
        return Chart(
            traces,
            layout.With(new
            {
                title = Title($"What each patch recovers of {answer} over {wrong}, {PlotlyText.Escape(patching.Model)}"), annotations = notes.ToArray(),
                width = (int)width + 190, height = (int)height + 80 + below, margin = new { l = 60, r = 130, t = 80, b = below },
            }),
            $"Activation patching of {patching.Model}: share of the logit difference of '{patching.Answer}' and '{patching.Wrong}' that comes back when one clean activation is put "
            + $"into the corrupted run, from 0 ({PlotlyText.Number(patching.CorruptedDifference)}) to 1 ({PlotlyText.Number(patching.CleanDifference)}). {Largest("Largest residual stream", maps[0].Rows, at => $"layer {at.Row}, position {at.Column}")}; "
            + $"{Largest("largest head", maps[1].Rows, at => $"{at.Row}.{at.Column}")}.",
            CellRows(layers * lines) with { Rows = layers });

        static string Largest(string what, double[][] rows, Func<(int Row, int Column), string> name)
        {
            var (row, column, value) = rows.SelectMany((row, r) => row.Select((value, c) => (r, c, value))).MaxBy(cell => Math.Abs(cell.value));
            return $"{what}: {name((row, column))} with {PlotlyText.Score(value)}";
        }
    }
}
