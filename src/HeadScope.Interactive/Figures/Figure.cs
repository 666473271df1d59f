using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Unicode;
using HeadScope.Notebooks.Plotly;

namespace HeadScope;

/// <summary>
/// A figure: what Plotly draws, and a sentence that says what is to be seen. As the last expression of a notebook cell it shows itself;
/// <c>Figures</c> makes the figures of HeadScope's results, and any other is made from traces in the same way.
/// </summary>
/// <param name="Traces">The data.</param>
/// <param name="Layout">Everything else.</param>
/// <param name="Caption">One sentence for those who cannot see the figure, and for text-only terminals.</param>
public sealed record Figure(IReadOnlyList<Trace> Traces, Layout Layout, string Caption)
{
    /// <summary>The width of a figure that neither its layout nor its style gives one, in pixels.</summary>
    internal const double DefaultWidth = 760;

    /// <summary>The height of a figure whose layout gives none, in pixels.</summary>
    internal const double DefaultHeight = 440;

    private static readonly JsonSerializerOptions Json = new()
    {
        // Everything but what could end a script element: < > & ' " stay escaped.
        Encoder = JavaScriptEncoder.Create(UnicodeRanges.All),
        PropertyNamingPolicy = new LowerCase(),
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>
    /// The views to choose from; none when there is one only. In a notebook a click in the legend chooses, on a page a list above the figure.
    /// (Menus inside of a figure would not do: <c>Plotly.validate</c> finds fault with every menu that names several traces.)
    /// </summary>
    public IReadOnlyList<Choice> Choices { get; init; } = [];

    /// <summary>How it looks.</summary>
    public FigureStyle Style { get; init; } = FigureStyle.Light;

    /// <summary>The same figure in another style, such as <see cref="FigureStyle.Dark"/> or <see cref="FigureStyle.OneColumn"/>.</summary>
    /// <param name="style">The style. When it gives a width, the height follows in proportion.</param>
    /// <returns>The figure.</returns>
    public Figure With(FigureStyle style)
    {
        ArgumentNullException.ThrowIfNull(style);
        return this with { Style = style };
    }

    /// <summary>The figure as Plotly's JSON, <c>application/vnd.plotly.v1+json</c>: an object with data, layout and config.</summary>
    /// <returns>The JSON, which can stand inside a script element: no text of it can end one.</returns>
    public string ToJson()
    {
        var styled = Styled();
        var layout = JsonSerializer.SerializeToNode(styled.Layout, Json)!;
        layout["template"] = JsonSerializer.SerializeToNode(Style.Template(), Json);
        layout["height"] ??= DefaultHeight;
        return JsonSerializer.Serialize(
            new
            {
                data = styled.Traces.Select(trace => (object)trace),
                layout,
                config = new Dictionary<string, object>(StringComparer.Ordinal)
                {
                    ["responsive"] = styled.Layout.Width is null,
                    ["displaylogo"] = false,
                },
            },
            Json);
    }

    /// <summary>The caption.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => Caption;

    /// <summary>The figure with what its style decides put in: colours of scales, width and height.</summary>
    internal Figure Styled()
    {
        var layout = Layout;
        if (Style.Width is { } width)
        {
            // Titles and labels need their room whatever the width; rows of a table and lines of text their height.
            const double Labels = 130;
            var height = layout.Height ?? DefaultHeight;
            var fixedRows = Traces.Any(trace => trace is Table or Scatter { Mode: "text" });
            var part = Math.Clamp(width / (layout.Width ?? DefaultWidth), 0.5, 1);
            layout = layout with { Width = width, Height = Math.Round(fixedRows ? height : Labels + (Math.Max(60, height - Labels) * part)) };
        }

        var first = Choices.Count > 0 ? Choices[0].Visible : null;
        return this with
        {
            Traces = [.. Traces.Select((trace, i) => (first is null ? trace : trace with { Visible = first[i] }).In(Style))],
            Layout = layout with
            {
                Annotations = layout.Annotations is null ? null : [.. layout.Annotations.Select(a => a with { ArrowColor = Style.InPlaceOf(a.ArrowColor) })],
                Shapes = layout.Shapes is null ? null : [.. layout.Shapes.Select(s => s with { Line = s.Line?.In(Style) })],
            },
        };
    }

    /// <summary>plotly.js writes its attributes in small letters without anything between words.</summary>
    private sealed class LowerCase : JsonNamingPolicy
    {
        public override string ConvertName(string name) => name.ToLowerInvariant();
    }
}
