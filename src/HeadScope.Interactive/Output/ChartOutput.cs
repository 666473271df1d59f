using System.IO.Compression;
using System.Net;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Newtonsoft.Json;
using Plotly.NET;

namespace HeadScope;

/// <summary>
/// How a Plotly.NET chart shows itself in notebooks and on pages: safely, whatever its texts are, and without a network. plotly.js comes out of Plotly.NET's
/// own assembly.
/// </summary>
public static partial class ChartOutput
{
    /// <summary>The mime type of plotly.js's figures, which VS Code and some Jupyters draw by themselves.</summary>
    public const string MimeType = "application/vnd.plotly.v1+json";

    /// <summary>JSON that can stand inside a script element, as Plotly.NET writes it.</summary>
    internal static readonly JsonSerializerSettings Safe = new()
    {
        // < > & ' become \u003c…, so that no text ends a script element.
        StringEscapeHandling = StringEscapeHandling.EscapeHtml,
        NullValueHandling = Globals.JSON_CONFIG.NullValueHandling,
        ReferenceLoopHandling = Globals.JSON_CONFIG.ReferenceLoopHandling,
    };

    private static readonly Lazy<string> Plotly = new(() => Script(typeof(GenericChart).Assembly, ".min.js"));

    /// <summary>plotly.js, of the version that Plotly.NET is made for.</summary>
    internal static string PlotlyScript => Plotly.Value;

    /// <summary>The chart as plotly.js's JSON, an object with data, layout and config, which can stand inside a script element.</summary>
    /// <param name="chart">The chart.</param>
    /// <returns>The JSON.</returns>
    public static string Json(GenericChart chart)
    {
        ArgumentNullException.ThrowIfNull(chart);
        return LoneSurrogate().Replace(JsonConvert.SerializeObject(GenericChart.toChartDTO(chart), Safe), half => $"\\u{(int)half.Value[0]:x4}");
    }

    /// <summary>What is to be seen, in words: the caption of HeadScope's charts, the title or the number of traces of others.</summary>
    /// <param name="chart">The chart.</param>
    /// <returns>Plain text.</returns>
    public static string Caption(GenericChart chart)
    {
        ArgumentNullException.ThrowIfNull(chart);
        var layout = GenericChart.getLayout(chart);
        object? Of(DynamicObj.DynamicObj from, string name) => from.TryGetPropertyValue(name) is { Value: { } found } ? found : null;
        var caption = Of(layout, "meta") is { } meta ? meta.GetType().GetProperty("caption")?.GetValue(meta) as string : null;
        if (caption is null && Of(layout, "title") is DynamicObj.DynamicObj title && Of(title, "text") is string { Length: > 0 } text)
        {
            caption = WebUtility.HtmlDecode(Tag().Replace(text, " "));
        }

        return LoneSurrogate().Replace(caption ?? $"Chart of {GenericChart.countTrace(chart)} traces", "\uFFFD");
    }

    /// <summary>The chart as the output of a notebook's cell: the first of a process carries plotly.js for all charts of the notebook, which takes 1.4 MB.</summary>
    /// <param name="chart">The chart.</param>
    /// <returns>The HTML.</returns>
    internal static string CellOutput(GenericChart chart) => (Carries && Interlocked.Exchange(ref carried, 1) == 0 ? Carrier + "\n" : "") + Fragment(chart);

    /// <summary>Whether outputs of cells carry plotly.js. Not where a notebook is run for a file that is kept: that stays small, and a page that is made of it
    /// carries plotly.js in its head.</summary>
    internal static bool Carries { get; set; } = true;

    private static int carried;

    /// <summary>What the HTML of every chart contains.</summary>
    internal const string Mark = "window.headscopePlotly";

    /// <summary>The part of a page that shows one chart.</summary>
    /// <param name="chart">The chart.</param>
    /// <returns>The HTML: the data, and a script that draws it with the plotly.js that the page carries or an earlier page of the same
    /// origin carried, else with one from the network. The caption stands in its place until then.</returns>
    public static string Fragment(GenericChart chart)
    {
        var json = Json(chart);
        var id = IdOf(json);
        var caption = WebUtility.HtmlEncode(Caption(chart));
        return $"""
            <div class="{id}" role="img" aria-label="{caption}"><div>{caption}</div><script type="application/json">{json}</script></div>
            {Run("chart.js", ("id", $"\"{id}\""), ("version", $"\"{Globals.PLOTLYJS_VERSION}\""), ("integrity", $"\"{Integrity.Value}\""), ("dark", JsonConvert.SerializeObject(ChartStyle.DarkColors)), IsDark)}
            """;
    }

    /// <summary>A page that draws charts without a network.</summary>
    /// <param name="title">Its title; any text.</param>
    /// <param name="charts">The charts, from top to bottom.</param>
    /// <returns>The text of the page.</returns>
    public static string Page(string title, IReadOnlyList<GenericChart> charts)
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(charts);
        return Page(title, Carrier, charts.Select(chart => (Fragment(chart), Caption(chart))));
    }

    /// <summary>A page of figures, each a part of a page with its caption, plain text.</summary>
    internal static string Page(string title, string head, IEnumerable<(string Html, string Caption)> figures) =>
        $$"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{{WebUtility.HtmlEncode(title)}}</title>
            <style>
            :root { color-scheme: light dark; }
            body { margin: 2rem auto; max-width: 1100px; padding: 0 1rem; font-family: {{ChartStyle.SansSerif}}; color: light-dark({{ChartStyle.Ink}}, #e6e9ee); background: light-dark({{ChartStyle.Paper}}, #161b22); }
            h1 { font-size: 1.3rem; font-weight: 600; }
            figure { margin: 0 0 2rem; }
            figcaption { color: light-dark({{ChartStyle.Muted}}, #9aa4b0); font-size: .9rem; line-height: 1.45; max-width: 70ch; }
            </style>
            {{head}}
            </head>
            <body>
            <h1>{{WebUtility.HtmlEncode(title)}}</h1>
            {{string.Concat(figures.Select(figure => $"<figure>\n{figure.Html}\n<figcaption>{WebUtility.HtmlEncode(figure.Caption)}</figcaption>\n</figure>\n"))}}</body>
            </html>

            """;

    /// <summary>The class by which a script finds what it makes live: the same for the same content.</summary>
    internal static string IdOf(string content) => "headscope-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(content)))[..12];

    /// <summary>A script element that calls a script of this assembly, the body of a function, with arguments written in JavaScript.</summary>
    internal static string Run(string script, params (string Name, string Value)[] arguments) =>
        $"<script>\n(function ({string.Join(", ", arguments.Select(argument => argument.Name))}) {Script(script)})({string.Join(", ", arguments.Select(argument => argument.Value))});\n</script>";

    /// <summary>The argument that says whether the page is dark, a function.</summary>
    internal static (string Name, string Value) IsDark => ("isDark", Script("theme.js"));

    /// <summary>A script of this assembly.</summary>
    internal static string Script(string name) => Script(typeof(ChartOutput).Assembly, name);

    private static string Script(Assembly assembly, string ending)
    {
        using var reader = new StreamReader(assembly.GetManifestResourceStream(assembly.GetManifestResourceNames().Single(name => name.EndsWith(ending, StringComparison.Ordinal)))!);
        return reader.ReadToEnd();
    }

    /// <summary>plotly.js for all charts of a page, as a script element that stands before them: gzip in base64.</summary>
    internal static string Carrier => Packed.Value;

    private static readonly Lazy<string> Packed = new(() =>
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            gzip.Write(Encoding.UTF8.GetBytes(PlotlyScript));
        }

        return $"<script>{Mark}Packed = \"{Convert.ToBase64String(packed.GetBuffer(), 0, (int)packed.Length)}\"; (window.headscopeWaiting || []).splice(0).forEach(function (draw) {{ draw(); }});</script>";
    });

    private static readonly Lazy<string> Integrity = new(() => "sha384-" + Convert.ToBase64String(SHA384.HashData(Encoding.UTF8.GetBytes(PlotlyScript))));

    [GeneratedRegex("(?<![\\uD800-\\uDBFF])[\\uDC00-\\uDFFF]|[\\uD800-\\uDBFF](?![\\uDC00-\\uDFFF])", RegexOptions.None, 10_000)]
    private static partial Regex LoneSurrogate();

    [GeneratedRegex("<[^>]*>", RegexOptions.NonBacktracking)]
    private static partial Regex Tag();
}
