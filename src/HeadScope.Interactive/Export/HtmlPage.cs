using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using HeadScope.Notebooks.Static;

namespace HeadScope;

/// <summary>
/// Figures as HTML. Every figure is there twice: drawn as SVG, so that it can be seen at once, without a network and without scripts,
/// and as data, which plotly.js draws in its place as soon as the browser has it.
/// </summary>
public static class HtmlPage
{
    /// <summary>Makes a whole page of figures.</summary>
    /// <param name="title">The title of the page; any text.</param>
    /// <param name="figures">The figures, from top to bottom.</param>
    /// <param name="plotly">A plotly.min.js to put into the page, which then needs no network; null to have browsers fetch it.</param>
    /// <returns>The text of the page.</returns>
    /// <exception cref="IOException">The file <paramref name="plotly"/> cannot be read.</exception>
    public static string Of(string title, IReadOnlyList<Figure> figures, string? plotly = null)
    {
        ArgumentNullException.ThrowIfNull(title);
        ArgumentNullException.ThrowIfNull(figures);
        var style = figures.Count > 0 ? figures[0].Style : FigureStyle.Light;
        var page = new StringBuilder();
        page.Append(
            $$"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{{WebUtility.HtmlEncode(title)}}</title>
            <style>
            body { margin: 2rem auto; max-width: 1100px; padding: 0 1rem; font-family: {{style.FontFamily}}; color: {{style.Ink}}; background: {{style.Paper}}; }
            h1 { font-size: 1.3rem; font-weight: 600; }
            figure { margin: 0 0 2rem; }
            figcaption { color: {{style.Muted}}; font-size: .9rem; line-height: 1.45; max-width: 70ch; }
            </style>

            """);
        if (plotly is not null)
        {
            // The only text that could end the script element is escaped; in JavaScript strings it means the same.
            page.Append("<script>").Append(File.ReadAllText(plotly).Replace("</script", "<\\/script", StringComparison.OrdinalIgnoreCase)).Append("</script>\n");
        }

        page.Append($"</head>\n<body>\n<h1>{WebUtility.HtmlEncode(title)}</h1>\n");
        foreach (var figure in figures)
        {
            page.Append($"<figure>\n{Fragment(figure, everyView: true)}\n<figcaption>{WebUtility.HtmlEncode(figure.Caption)}</figcaption>\n</figure>\n");
        }

        return page.Append("</body>\n</html>\n").ToString();
    }

    /// <summary>Makes the part of a page that shows one figure, as notebooks take it.</summary>
    /// <param name="figure">The figure.</param>
    /// <param name="everyView">Whether all views of a figure with <see cref="Figure.Choices"/> are drawn, or the first alone, which is smaller.</param>
    /// <returns>The HTML: the figure as SVG, and a script that lets plotly.js draw it instead.</returns>
    public static string Fragment(Figure figure, bool everyView = false)
    {
        ArgumentNullException.ThrowIfNull(figure);
        var onPage = figure.Choices.Count > 0 ? figure with { Layout = figure.Layout with { ShowLegend = false } } : figure;
        var json = $$"""{"figure":{{onPage.ToJson()}},"choices":{{JsonSerializer.Serialize(figure.Choices.Select(choice => choice.Visible))}}}""";
        var name = "headscope-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(json)))[..12];
        return $$"""
            <div class="{{name}}">
            {{Chooser(figure, everyView)}}<div>{{Still(onPage, everyView)}}</div>
            <script type="application/json">{{json}}</script>
            <script>
            (function () {
              function start(place) {
                var data = JSON.parse(place.querySelector("script").textContent);
                var still = place.querySelectorAll("[data-choice]"), chooser = place.querySelector("select"), drawn = null;
                function choose() {
                  var chosen = chooser ? chooser.selectedIndex : 0;
                  still.forEach(function (one, i) { one.hidden = i !== chosen; });
                  if (drawn && data.choices.length) { window.Plotly.restyle(drawn, { visible: data.choices[chosen] }); }
                }
                if (chooser) { chooser.addEventListener("change", choose); }
                return function () {
                  var box = document.createElement("div");
                  place.insertBefore(box, place.querySelector("script"));
                  window.Plotly.newPlot(box, data.figure.data, data.figure.layout, data.figure.config).then(function () {
                    still[0].parentElement.remove();
                    still = [];
                    drawn = box;
                    if (chooser) { chooser.parentElement.hidden = false; }
                    choose();
                  });
                };
              }
              var draws = [];
              document.querySelectorAll(".{{name}}:not([data-started])").forEach(function (place) {
                place.setAttribute("data-started", "");
                draws.push(start(place));
              });
              function drawAll() { draws.forEach(function (draw) { draw(); }); }
              if (window.Plotly) { drawAll(); return; }
              if (!window.headscopePlotly) {
                window.headscopePlotly = new Promise(function (resolve, reject) {
                  var script = document.createElement("script");
                  script.src = "{{PlotlyScript.Address}}";
                  script.integrity = "{{PlotlyScript.Integrity}}";
                  script.crossOrigin = "anonymous";
                  script.onload = resolve;
                  script.onerror = reject;
                  document.head.appendChild(script);
                });
              }
              window.headscopePlotly.then(drawAll, function () { /* No network: the drawing stays. */ });
            })();
            </script>
            </div>
            """;
    }

    private static string Chooser(Figure figure, bool everyView) => figure.Choices.Count == 0
        ? ""
        : $"<label{(everyView ? "" : " hidden")}>Show <select>{string.Concat(figure.Choices.Select(choice => $"<option>{WebUtility.HtmlEncode(choice.Label)}</option>"))}</select></label>\n";

    /// <summary>The drawing; with several views, one for each.</summary>
    private static string Still(Figure figure, bool everyView) => figure.Choices.Count == 0 || !everyView
        ? $"<div data-choice>{StaticFigure.Draw(figure)}</div>"
        : string.Concat(figure.Choices.Select((choice, i) => $"<div data-choice{(i == 0 ? "" : " hidden")}>{StaticFigure.Draw(figure, choice.Visible)}</div>\n"));
}
