using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Running.Mathematics;
using Markdig;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace HeadScope.Notebooks.Running;

/// <summary>A notebook as one HTML page that needs nothing else: text, code and outputs, read without a network.</summary>
/// <remarks>
/// HTML that stands in a notebook's text is shown as text. HTML among the outputs of cells is the notebook's own work and is kept, as in
/// Jupyter.
/// </remarks>
internal static class NotebookPage
{
    private static readonly MarkdownPipeline Markdown =
        new MarkdownPipelineBuilder().DisableHtml().UsePipeTables().UseMathematics().Use<MathMlExtension>().Build();

    // Figures keep the paper that they were drawn for, so on a dark page they stand on a light sheet.
    private const string Style = """
        :root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --muted: #5b6675; --code: #f4f6f9; --rule: #d5dbe5; --error: #fdf1f0; --link: #0a58b0; }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e6e9ee; --paper: #161b22; --muted: #9aa4b0; --code: #1f2630; --rule: #3a424d; --error: #33201f; --link: #79b8ff; }
          img, .output svg { background: #fff; border-radius: 4px; }
        }
        body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
        h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; } a { color: var(--link); }
        pre { overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
        :not(pre) > code { font: .88em ui-monospace, monospace; background: var(--code); padding: .1em .3em; border-radius: 3px; }
        .code { background: var(--code); border-left: 3px solid #59a5d8; padding: .5rem .8rem; }
        .error { background: var(--error); border-left: 3px solid #c0392b; padding: .5rem .8rem; }
        .output { margin: .2rem 0 1rem; overflow-x: auto; }
        table { border-collapse: collapse; } td, th { border: 1px solid var(--rule); padding: .2rem .5rem; text-align: left; }
        math { font-size: 1.08em; } math[display="block"] { margin: 1rem 0; overflow-x: auto; overflow-y: hidden; }
        img, svg { max-width: 100%; height: auto; }
        """;

    /// <summary>Makes the page.</summary>
    /// <param name="notebook">The notebook with its outputs.</param>
    /// <param name="title">The title of the page; any text.</param>
    /// <param name="folder">The folder of the notebook: pictures that its text names relative to it become part of the page. Null leaves them as links.</param>
    /// <param name="head">HTML for the page's head, such as a script that its outputs need: made of the page's body. Null for none.</param>
    public static string Of(NotebookFile notebook, string title, string? folder = null, Func<string, string>? head = null)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        ArgumentNullException.ThrowIfNull(title);
        var page = new StringBuilder();
        foreach (var cell in notebook.Cells.OfType<JsonObject>())
        {
            var source = NotebookFile.Joined(cell["source"]);
            if ((string?)cell["cell_type"] == "markdown")
            {
                page.Append(Text(source, cell["attachments"] as JsonObject, folder));
            }
            else if (source.Length > 0)
            {
                page.Append("<pre class=\"code\">").Append(WebUtility.HtmlEncode(source)).Append("</pre>\n");
            }

            foreach (var output in (cell["outputs"] as JsonArray ?? []).OfType<JsonObject>())
            {
                page.Append("<div class=\"output\">").Append(Shown(output)).Append("</div>\n");
            }
        }

        var body = page.ToString();
        return $"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{WebUtility.HtmlEncode(title)}</title>
            <style>
            {Style}
            </style>
            {head?.Invoke(body)}
            </head>
            <body>
            {body}</body>
            </html>

            """;
    }

    private static string Text(string markdown, JsonObject? attachments, string? folder)
    {
        var text = Markdig.Markdown.Parse(markdown, Markdown);
        Pictures.Embed(text, attachments, folder);
        foreach (var link in text.Descendants())
        {
            if (link is LinkInline { Url: { } address } named && !IsHarmless(address, named.IsImage))
            {
                named.Url = "";
            }
            else if (link is AutolinkInline { IsEmail: false } bare && !IsHarmless(bare.Url, isPicture: false))
            {
                bare.ReplaceBy(new LiteralInline(bare.Url));
            }
        }

        return text.ToHtml(Markdown);
    }

    // A link that runs a script when it is clicked, or leads to a page that does, has a scheme of its own: only those that lead somewhere are kept.
    private static bool IsHarmless(string address, bool isPicture)
    {
        var seen = string.Concat(address.Where(c => !char.IsControl(c) && !char.IsWhiteSpace(c)));
        var colon = seen.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 || seen.AsSpan(0, colon).IndexOfAny('/', '?', '#') >= 0
            || seen[..colon].ToLowerInvariant() is "http" or "https" or "mailto" or "attachment"
            || (isPicture && seen.StartsWith("data:image/", StringComparison.OrdinalIgnoreCase));
    }

    private static string Shown(JsonObject output)
    {
        switch ((string?)output["output_type"])
        {
            case "stream":
                return $"<pre>{AnsiText.Html(NotebookFile.Joined(output["text"]))}</pre>";
            case "error":
                var lines = (output["traceback"] as JsonArray ?? []).Select(line => AnsiText.Html((string?)line ?? ""));
                return $"<pre class=\"error\">{string.Join('\n', lines)}</pre>";
            default:
                var data = output["data"] as JsonObject ?? [];
                return data["text/html"] is { } html ? NotebookFile.Joined(html)
                    : data["image/svg+xml"] is { } svg ? NotebookFile.Joined(svg)
                    : data["text/markdown"] is { } text ? Text(NotebookFile.Joined(text), null, null)
                    : data["image/png"] is { } png ? $"<img alt=\"\" src=\"data:image/png;base64,{WebUtility.HtmlEncode(NotebookFile.Joined(png).Trim())}\">"
                    : $"<pre>{WebUtility.HtmlEncode(NotebookFile.Joined(data["text/plain"]))}</pre>";
        }
    }
}
