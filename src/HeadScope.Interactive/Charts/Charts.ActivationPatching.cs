using Plotly.NET;
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

        // In pixels of a screen: two maps abreast, tokens below them.
        var (layers, lines) = (maps[0].Rows.Length, maps.Length / 2);
        var (left, right) = (Math.Clamp(tokens.Length * 22.0, 240, 480), Math.Clamp(maps[1].Rows.Max(row => row.Length) * 22.0, 240, 480));
        var (high, between, below) = (Math.Clamp(layers * 22.0, 160, 600), 150, 60 + (7 * Math.Min(tokens.Max(token => token.Length), 24)));
        var (width, height) = (left + between + right, (lines * high) + ((lines - 1) * (below + 30)));
        var panels = maps.Select((map, i) =>
        {
            var top = 1 - (i / 2 * (high + below + 30) / height);
            var x = map.AreHeads ? Indices("head", map.Rows[0].Length) : Labelled("position", tokens, angle: -90).With(new { tickfont = Tokens() });
            return new Panel(map.Title, i % 2 == 0 ? (0, left / width) : ((left + between) / width, 1), (Math.Max(0, top - (high / height)), top), x, Indices("layer", layers, reversed: true));
        }).ToArray();
        var (answer, wrong) = (Short(patching.Answer), Short(patching.Wrong));
        return Chart(
            maps.Select((map, i) =>
            {
                var (across, up) = (panels[i].Across, panels[i].Up);
                var end = map.Rows.SelectMany(row => row).Where(double.IsFinite).Select(Math.Abs).Append(1e-9).Max();
                return Cells(map.Rows, -end, end, ChartStyle.Diverging, new
                {
                    text = map.AreHeads ? null : map.Rows.Select(_ => tokens).ToArray(),
                    hovertemplate = (map.AreHeads ? "head %{y}.%{x}" : "%{text}<br>layer %{y}, position %{x}") + "<br>recovered %{z:.3f}<extra></extra>",
                    colorbar = ColorBar("recovered").With(new { x = across.To + (8 / width), xanchor = "left", y = (up.From + up.To) / 2, len = up.To - up.From, ypad = 0 }),
                }).In(i);
            }),
            Figure($"What each patch recovers of {answer} over {wrong}, {PlotlyText.Escape(patching.Model)}", width + 190, height + 80 + below, new { margin = Margin(new { l = 60, r = 130, t = 80, b = below }) })
                .Panels(panels),
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
