using System.Globalization;
using Plotly.NET;
using static HeadScope.PlotlyObject;

namespace HeadScope;

public static partial class Charts
{
    // Of more cells none has room for a token.
    private const int MostColumns = 40, MostRows = 48;

    /// <summary>What a model would predict after each layer, at each position: in each cell the most probable token, where it fits; its colour is the probability
    /// of the chosen token, or the rank.</summary>
    /// <param name="lens">The predictions.</param>
    /// <param name="ranks">Whether colours are ranks, by their logarithm, instead of probabilities.</param>
    /// <param name="positions">Which positions; null for all. Fewer leave more room for tokens, on paper above all.</param>
    /// <returns>The chart. Columns are named by the token that is read there; hovering shows all top tokens.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no such positions, or none.</exception>
    public static GenericChart LogitLens(LogitLens lens, bool ranks = false, Range? positions = null)
    {
        ArgumentNullException.ThrowIfNull(lens);
        var (first, count) = (positions ?? ..).GetOffsetAndLength(lens.Tokens.Count);
        ArgumentOutOfRangeException.ThrowIfZero(count, nameof(positions));
        var (layers, top) = ((int)lens.TopTokens.shape[0], (int)lens.TopTokens.shape[2]);
        double[][] Part(TorchSharp.torch.Tensor values) => [.. Rows(values).Select(row => row[first..(first + count)])];
        var (probabilities, rank, best, chances) = (Part(lens.Probabilities), Part(lens.Ranks), Rows(lens.TopTokens.flatten(0, 1)), Rows(lens.TopProbabilities.flatten(0, 1)));
        var worst = Math.Max(1, Math.Ceiling(rank.SelectMany(row => row).Select(Math.Log10).Max()));
        var colors = ranks ? rank.Select(row => row.Select(r => -Math.Log10(r)).ToArray()).ToArray() : probabilities;
        var (low, high) = ranks ? (-worst, 0.0) : (0, 1);
        string Best(int layer, int t, int k) => lens.Texts[(int)best[(layer * lens.Tokens.Count) + first + t][k]];
        (int Layer, int At)[] cells = [.. Enumerable.Range(0, layers).SelectMany(layer => Enumerable.Range(0, count).Select(t => (layer, t)))];
        var hover = cells.Select(cell => string.Create(
            CultureInfo.InvariantCulture,
            $"after layer {cell.Layer}, position {first + cell.At} {PlotlyText.Token(lens.Tokens[first + cell.At])}<br>chosen {PlotlyText.Token(lens.Targets[first + cell.At])}: {probabilities[cell.Layer][cell.At]:0.####}, rank {rank[cell.Layer][cell.At]}<br>")
            + string.Join("<br>", Enumerable.Range(0, top).Select(k => $"{k + 1}. {PlotlyText.Token(Best(cell.Layer, cell.At, k))} {PlotlyText.Number(chances[(cell.Layer * lens.Tokens.Count) + first + cell.At][k])}")));
        var (chosen, what) = (lens.Targets.Skip(first).Take(count).Distinct(StringComparer.Ordinal).ToArray(), ranks ? "rank" : "probability");
        var name = chosen.Length == 1 ? Short(chosen[0]) : "the final prediction";
        var ticks = Enumerable.Range(0, (int)worst + 1).ToArray();
        var traces = new List<Trace>
        {
            Cells(colors, low, high, ChartStyle.Sequential, new
            {
                colorbar = ColorBar($"{what} of {name}").With(new
                {
                    tickvals = ranks ? ticks.Select(t => -t).ToArray() : null,
                    ticktext = ranks ? ticks.Select(t => Math.Pow(10, t).ToString("#,0", CultureInfo.InvariantCulture)).ToArray() : null,
                }),
            }).Telling(hover.Chunk(count).ToArray()),
        };
        if (count <= MostColumns && layers <= MostRows)
        {
            // Bars that cannot be seen: of their texts plotly.js hides those that do not fit.
            traces.Add(Bar(new
            {
                orientation = "h", x = cells.Select(_ => 1).ToArray(), @base = cells.Select(cell => cell.At - 0.5).ToArray(), y = cells.Select(cell => cell.Layer).ToArray(), width = 1,
                text = cells.Select(cell => Short(Best(cell.Layer, cell.At, 0))).ToArray(), textposition = "inside", insidetextanchor = "middle", textangle = 0, constraintext = "inside",
                insidetextfont = Font(new { size = 11, color = cells.Select(cell => ChartStyle.At(ChartStyle.Sequential, (colors[cell.Layer][cell.At] - low) / (high - low)).Ink).ToArray() }),
                marker = Marker(new { color = "rgba(0,0,0,0)" }), hoverinfo = "skip", showlegend = false,
            }));
        }

        return Chart(
            traces,
            Figure($"What {PlotlyText.Escape(lens.Model)} would predict after each layer", Math.Clamp(count * 62.0, 280, 1100) + 190, Math.Clamp(layers * 26.0, 190, 800) + 190, new
            {
                xaxis = Labelled("position", [.. lens.Tokens.Skip(first).Take(count).Select(token => Short(token))], angle: count > 15 ? -90 : null).With(new { range = new[] { -0.5, count - 0.5 } }),
                yaxis = Indices("layer", layers).With(new { range = new[] { layers - 0.5, -0.5 } }), uniformtext = new { minsize = 9, mode = "hide" },
            }),
            $"Logit lens of {lens.Model}: {what} of {(chosen.Length == 1 ? $"'{chosen[0]}'" : "what the last layer predicts")} after each of {layers} layers, positions {first} to {first + count - 1} of {lens.Tokens.Count}; "
            + $"at the last of them {Value(0)} after layer 0 and {Value(layers - 1)} after layer {layers - 1}.{(traces.Count > 1 ? " Cells name the most probable token where it fits." : "")}",
            new PaperLayout(layers, Math.Clamp(150.0 / layers, 1.2, 4.5)));

        string Value(int layer) => PlotlyText.Number(ranks ? rank[layer][count - 1] : probabilities[layer][count - 1]);
    }
}
