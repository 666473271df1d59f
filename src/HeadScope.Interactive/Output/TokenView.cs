using System.Globalization;
using System.Net;
using System.Text;
using Newtonsoft.Json;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// A text whose tokens show what they gather: the token under the pointer, or with the focus, colours all tokens by what it takes from each. It shows itself
/// as the last expression of a cell, needs neither a network nor plotly.js, and without scripts it shows the first row.
/// </summary>
public sealed record TokenView
{
    private readonly IReadOnlyList<string> tokens;
    private readonly IReadOnlyList<string> heads;
    private readonly float[][][] values;
    private readonly int at;

    private TokenView(IReadOnlyList<string> tokens, IReadOnlyList<string> heads, float[] numbers, int at)
    {
        (this.tokens, this.heads, this.at) = (tokens, heads, at);

        // Of each row what is not after its token, with three digits that count.
        var n = tokens.Count;
        values = [.. numbers.Chunk(n * n).Select(head => head.Chunk(n).Select((row, t) => row[..(t + 1)]).ToArray())];
    }

    /// <summary>What is shown; plain text.</summary>
    public string Title { get; private init; } = "";

    /// <summary>What is to be seen, in words, for those who cannot see it; plain text.</summary>
    public string Caption { get; private init; } = "";

    private string ValueName { get; init; } = "";

    private string Verb { get; init; } = "";

    private double? Largest { get; init; }

    /// <summary>What a Lorsa head gathers: the token under the pointer colours every token by its contribution to z there. The first row is that of <see cref="ZPattern.Peak"/>.</summary>
    /// <param name="pattern">The z-pattern.</param>
    /// <returns>The view; the colours are the same in all rows.</returns>
    public static TokenView Of(ZPattern pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        var (numbers, at, n) = (pattern.Contributions.Copied<float>(), pattern.Peak, pattern.Tokens.Count);
        var z = pattern.PreActivations.Copied<float>()[at];
        var (source, most) = pattern.At(at)[0];
        return new(pattern.TokenTexts, [FormattableString.Invariant($"{pattern.Head}")], numbers, at)
        {
            Title = FormattableString.Invariant($"Lorsa head {pattern.Head}: what it gathers at the token under the pointer"),
            Caption = FormattableString.Invariant($"Lorsa head {pattern.Head}: what it gathers at each of {n} tokens. It is most active at '{pattern.TokenTexts[at]}' (position {at}), where z = {PlotlyText.Number(z)}, ")
                + FormattableString.Invariant($"most of it {PlotlyText.Number(most)} from '{pattern.TokenTexts[source]}' (position {source})."),
            ValueName = "contribution to z", Verb = "gathers most from",
        };
    }

    /// <summary>Where tokens attend to, at one head or at several to choose from: the token under the pointer colours every token by how much it attends to it.</summary>
    /// <param name="patterns">The patterns, [head, query, key], or [1, head, query, key] as a forward pass has them under <c>blocks.1.attn.hook_pattern</c>; about six bytes of the page for each number.</param>
    /// <param name="tokens">The text of each token.</param>
    /// <param name="layer">The layer, for the names of the heads.</param>
    /// <param name="head">The head that is shown first.</param>
    /// <returns>The view; its first row is that of the last token.</returns>
    /// <exception cref="ArgumentException">The patterns have another shape, or another number of positions than there are tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such layer or head.</exception>
    public static TokenView Of(Tensor patterns, IReadOnlyList<string> tokens, int layer, int head = 0)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        ArgumentOutOfRangeException.ThrowIfNegative(head);
        var numbers = Charts.PatternNumbers(patterns, tokens.Count, heads: true);
        var (at, count) = (tokens.Count - 1, numbers.Length / tokens.Count / tokens.Count);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(head, count);
        var title = FormattableString.Invariant($"Attention of the heads of layer {layer} at the token under the pointer");
        return new(tokens, [.. Enumerable.Range(0, count).Select(h => new Head(layer, h).ToString())], numbers, at)
        {
            Title = title, ValueName = "attention", Verb = "attends most to", Largest = 1, FirstHead = head,
            Caption = FormattableString.Invariant($"Attention of {count} heads of layer {layer} from each of {tokens.Count} tokens to those before it; shown first is head {new Head(layer, head)} at '{tokens[at]}' (position {at})."),
        };
    }

    private int FirstHead { get; init; }

    /// <summary>The part of a page that shows it.</summary>
    /// <returns>The HTML: the tokens as they are at first, the numbers, and the script.</returns>
    public string ToHtml()
    {
        var (low, high, scale) = ChartStyle.ScaleOf(Largest is { } most ? [most] : values.SelectMany(head => head).SelectMany(row => row, (_, value) => (double)value));
        (string Fill, string Ink)[] light = [.. Enumerable.Range(0, 25).Select(step => ChartStyle.At(scale, step / 24.0))];
        var data = JsonConvert.SerializeObject(
            new
            {
                values = values.Select(head => head.Select(row => row.Select(value => Rounded(value)))), low = Rounded(low), high = Rounded(high), at, head = FirstHead, heads, name = ValueName, verb = Verb,
                light = light.Select(color => new[] { color.Fill, color.Ink }), dark = light.Select(color => new[] { ChartStyle.DarkColors[color.Fill], ChartStyle.DarkColors[color.Ink] }),
            },
            ChartOutput.Safe);
        var row = values[FirstHead][at];
        var html = new StringBuilder();
        for (var i = 0; i < tokens.Count; i++)
        {
            var (fill, ink) = ChartStyle.At(scale, ((i < row.Length && float.IsFinite(row[i]) ? row[i] : 0) - low) / (high - low));
            var shown = PlotlyText.Token(tokens[i]);
            html.Append(CultureInfo.InvariantCulture, $"<span role=\"option\" aria-selected=\"{(i == at ? "true" : "false")}\" tabindex=\"{(i == at ? 0 : -1)}\" style=\"{TokenStyle}background:{fill};color:{ink}{(i == at ? ";outline:2px solid #d55e00" : "")}{(i > at ? ";opacity:.45" : "")}\">{(shown.Length > 0 ? shown : "∅")}</span>")
                .Append(tokens[i].EndsWith('\n') ? "<br>" : "<wbr>");
        }

        var swatches = string.Concat(light.Select((color, step) => $"<span data-step=\"{step}\" style=\"display:inline-block;width:6px;height:.8em;background:{color.Fill}\"></span>"));
        var buttons = heads.Count < 2 ? "" : $"<div hidden style=\"margin:.4em 0\">head {string.Concat(heads.Select((head, h) => $"<button type=\"button\" aria-pressed=\"{(h == FirstHead ? "true" : "false")}\" style=\"font:inherit;margin:1px 3px\">{WebUtility.HtmlEncode(head)}</button>"))}</div>";
        var id = ChartOutput.IdOf(data + html);
        var caption = PlotlyText.Escape(Caption).Replace("\"", "&quot;", StringComparison.Ordinal);
        return $"""
            <div class="{id}" role="group" aria-label="{caption}" style="font-family:{ChartStyle.SansSerif.Replace("'", "&#39;", StringComparison.Ordinal)};font-size:13px;max-width:60em">
            <div><b>{PlotlyText.Escape(Title)}</b></div>{buttons}
            <div role="listbox" aria-label="tokens" style="direction:ltr;line-height:1.9;margin:.4em 0;font-family:{ChartStyle.Monospace.Replace("'", "&#39;", StringComparison.Ordinal)}">{html}</div>
            <div>{PlotlyText.Number(low)} {swatches} {PlotlyText.Number(high)} {PlotlyText.Escape(ValueName)}</div>
            <div aria-live="polite" style="min-height:1.4em"></div>
            <script type="application/json">{data}</script></div>
            {ChartOutput.Run("tokens.js", ("id", $"\"{id}\""), ChartOutput.IsDark)}
            """;
    }

    /// <summary>Saves it as a page that works by itself.</summary>
    /// <param name="path">The file, <c>.html</c>; it is written whole or not at all.</param>
    /// <exception cref="ArgumentException">The name has another ending; for papers there are <see cref="Charts.ZPattern"/> and <see cref="Charts.AttentionHeads"/>.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Fault.ArgumentIf(
            !path.EndsWith(".html", StringComparison.OrdinalIgnoreCase), $"A view of tokens can be saved as .html; '{path}' ends otherwise. Charts.ZPattern and Charts.AttentionHeads make charts that can be printed.");
        AtomicFile.WriteText(path, ChartOutput.Page(Path.GetFileNameWithoutExtension(path), "", [(ToHtml(), Caption)]));
    }

    private const string TokenStyle = "unicode-bidi:isolate;white-space:pre-wrap;overflow-wrap:anywhere;padding:1px 0;margin:0 1px;border-radius:2px;cursor:pointer;";

    private static double? Rounded(double value) => double.IsFinite(value) ? double.Parse(value.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : null;
}
