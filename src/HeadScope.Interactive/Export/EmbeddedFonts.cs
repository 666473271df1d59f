using System.Text;
using System.Xml.Linq;

namespace HeadScope;

/// <summary>Puts the fonts of an SVG into it, so that it looks the same on machines that have others.</summary>
internal static class EmbeddedFonts
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    /// <summary>Embeds, for each list of families that the SVG uses, the letters of the font that the browser drew it with.</summary>
    /// <param name="svg">The SVG.</param>
    /// <param name="browser">A browser that shows it.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The SVG with the fonts; a font that is not found as a TrueType file is left to the viewer.</returns>
    public static async Task<string> IntoAsync(string svg, HeadlessBrowser browser, CancellationToken cancellationToken)
    {
        // One element for each list of families, marked so that the browser can be asked about it, and all letters in that list.
        var groups = await browser.EvaluateAsync(
            """
            (() => {
              const groups = {};
              document.querySelectorAll('svg text').forEach(element => {
                const families = getComputedStyle(element).fontFamily;
                const group = groups[families] = groups[families] || { families, letters: '', mark: 'f' + Object.keys(groups).length };
                group.letters += element.textContent;
                if (element.textContent.trim() && !group.marked) { group.marked = true; element.setAttribute('data-font', group.mark); }
              });
              return Object.values(groups).filter(g => g.marked);
            })()
            """,
            cancellationToken);
        var rules = new StringBuilder();
        foreach (var group in groups!.AsArray())
        {
            var name = await browser.FontOfAsync($"[data-font='{group!["mark"]}']", cancellationToken);
            if (name is not null && FontFile.Find(name) is { } font)
            {
                // Under the first name of the list: an embedded font goes before an installed one of that name.
                var family = group["families"]!.GetValue<string>().Split(',')[0].Trim().Trim('"', '\'');
                var letters = font.Subset(group["letters"]!.GetValue<string>().EnumerateRunes());
                rules.Append($"@font-face{{font-family:'{family}';src:url(data:font/ttf;base64,{Convert.ToBase64String(letters)})}}");
            }
        }

        if (rules.Length == 0)
        {
            return svg;
        }

        var root = XElement.Parse(svg, LoadOptions.PreserveWhitespace);
        root.AddFirst(new XElement(Svg + "style", rules.ToString()));
        return root.ToString(SaveOptions.DisableFormatting);
    }
}
