using System.Text.Json;
using PuppeteerSharp;

namespace HeadScope;

/// <summary>Puts the fonts of an SVG into it, so that it looks the same on machines that have others.</summary>
internal static class EmbeddedFonts
{
    /// <summary>Embeds the font that the browser draws each list of families with.</summary>
    /// <param name="page">A page of a local file: others get no fonts.</param>
    /// <param name="svg">The SVG.</param>
    /// <returns>The SVG with the fonts; a font that the browser does not give away, or that is larger than 2 MB, is left to the viewer.</returns>
    public static async Task<string> IntoAsync(IPage page, string svg)
    {
        // The page's own session: a permission ends with the session that it was given to, at some time after.
        var session = page.Client;
        await session.SendAsync("Browser.grantPermissions", JsonElement.Parse("""{"permissions":["localFonts"]}"""));
        var families = await page.EvaluateFunctionAsync<string[]>(
            """
            svg => {
              document.body.innerHTML = svg;
              const seen = new Map();
              document.querySelectorAll('svg text').forEach(text => {
                const families = getComputedStyle(text).fontFamily;
                if (text.textContent.trim() && !seen.has(families)) { seen.set(families, text); text.id = 'font' + (seen.size - 1); }
              });
              return [...seen.keys()];
            }
            """,
            svg);
        await session.SendAsync("DOM.enable");
        await session.SendAsync("CSS.enable");
        var root = (await session.SendAsync<JsonElement>("DOM.getDocument")).GetProperty("root").GetProperty("nodeId").GetInt32();
        var names = new List<string?>();
        for (var i = 0; i < families.Length; i++)
        {
            var node = (await session.SendAsync<JsonElement>("DOM.querySelector", JsonElement.Parse($$"""{"nodeId":{{root}},"selector":"#font{{i}}"}"""))).GetProperty("nodeId").GetInt32();
            names.Add(null);

            // Which font it is the browser knows when it has laid the text out.
            for (var tries = 0; names[i] is null && tries < 20; tries++)
            {
                await Task.Delay(tries * 10);
                var fonts = (await session.SendAsync<JsonElement>("CSS.getPlatformFontsForNode", JsonElement.Parse($$"""{"nodeId":{{node}}}"""))).GetProperty("fonts");
                names[i] = fonts.GetArrayLength() > 0 ? fonts[0].GetProperty("postScriptName").GetString() : null;
            }
        }

        // Under the first name of the list: an embedded font goes before an installed one of that name.
        return await page.EvaluateFunctionAsync<string>(
            """
            async (svg, families, names) => {
              document.body.textContent = '';
              if (!window.queryLocalFonts) return svg;
              let rules = '';
              for (let i = 0; i < families.length; i++) {
                // The browser may still be listing its fonts, and a permission takes a moment to arrive.
                let font;
                for (let tries = 0; names[i] && !font && tries < 20; tries++) {
                  [font] = await queryLocalFonts({ postscriptNames: [names[i]] }).catch(() => []);
                  if (!font) await new Promise(done => setTimeout(done, 50));
                }
                const blob = font && await font.blob().catch(() => undefined);
                if (!blob || blob.size > 2e6) continue;
                const data = await new Promise(done => { const reader = new FileReader(); reader.onload = () => done(reader.result.split(',')[1]); reader.readAsDataURL(blob); });
                rules += `@font-face{font-family:${families[i].split(',')[0].trim()};src:url(data:font/ttf;base64,${data})}`;
              }
              const root = new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement;
              const style = document.createElementNS(root.namespaceURI, 'style');
              style.textContent = rules;
              if (rules) root.prepend(style);
              return new XMLSerializer().serializeToString(root);
            }
            """,
            svg,
            families,
            names);
    }
}
