using System.Text.Json;
using Plotly.NET;
using PuppeteerSharp;

namespace HeadScope.Notebooks.Tests;

/// <summary>A real browser with the plotly.js of Plotly.NET's assembly in its page; tests that need one are skipped where none is installed.</summary>
public sealed class ChartBrowser : IAsyncLifetime
{
    /// <summary>The name of the collection of tests that share the browser.</summary>
    public const string Collection = "in a browser with plotly.js";

    // Lists what is wrong with the text of a picture, whose sizes may be from so many points to so many. A box is a parallelogram: text may be turned.
    private const string Measure =
        """
        const faultsOf = (picture, least, most) => {
          const page = picture.getBoundingClientRect(), faults = [], lines = [];
          const corners = (box, matrix) => [[box.x, box.y], [box.x + box.width, box.y], [box.x + box.width, box.y + box.height], [box.x, box.y + box.height]]
            .map(([x, y]) => new DOMPoint(x, y).matrixTransform(matrix));
          const shown = e => { for (let n = e; n && n !== picture; n = n.parentElement) { const s = getComputedStyle(n); if (s.display === 'none' || s.visibility === 'hidden' || +s.opacity === 0) return false; } return true; };
          const along = (box, axis) => { const at = box.map(p => p.x * axis.x + p.y * axis.y); return [Math.min(...at), Math.max(...at)]; };
          const directions = box => [[0, 1], [1, 2]].map(([i, j]) => { const x = box[j].x - box[i].x, y = box[j].y - box[i].y, n = Math.hypot(x, y) || 1; return { x: x / n, y: y / n }; });
          const overlap = (a, b) => Math.min(...[...directions(a), ...directions(b)].map(axis => { const [p, q] = [along(a, axis), along(b, axis)]; return Math.min(p[1], q[1]) - Math.max(p[0], q[0]); }));
          for (const text of picture.querySelectorAll('text')) {
            if (!text.textContent.trim() || !shown(text)) continue;
            const parts = text.querySelectorAll('tspan.line');
            for (const part of parts.length ? parts : [text]) {
              if (!part.textContent.trim()) continue;
              const matrix = text.getScreenCTM(), box = corners(part.getBBox(), matrix), name = JSON.stringify(part.textContent);
              const size = parseFloat(getComputedStyle(part).fontSize) * Math.hypot(matrix.a, matrix.b) * 0.75;
              if (size < least - 0.01 || size > most + 0.01) faults.push(`${name} has ${size.toFixed(2)} points`);
              const out = Math.max(page.left - Math.min(...box.map(p => p.x)), Math.max(...box.map(p => p.x)) - page.right, page.top - Math.min(...box.map(p => p.y)), Math.max(...box.map(p => p.y)) - page.bottom);
              if (out > 0.5) faults.push(`${name} leaves the page by ${out.toFixed(1)} px`);
              const clipped = text.closest('[clip-path]'), clip = clipped && document.getElementById((/#([^"')]+)/.exec(clipped.getAttribute('clip-path')) || [])[1]);
              const frame = clip && clip.querySelector('rect');
              if (frame) {
                const edge = corners(frame.getBBox(), clipped.getScreenCTM().multiply(frame.transform.baseVal.consolidate()?.matrix ?? document.createElementNS("http://www.w3.org/2000/svg", "svg").createSVGMatrix()));
                const cut = Math.max(...['x', 'y'].flatMap(k => { const [a, b] = [box, edge].map(c => c.map(p => p[k])); return [Math.min(...b) - Math.min(...a), Math.max(...a) - Math.max(...b)]; }));
                if (cut > 1) faults.push(`${name} is cut by ${cut.toFixed(1)} px`);
              }
              lines.push({ name, box, text });
            }
            for (const raised of text.querySelectorAll('tspan[style*="font-size"]')) {
              const { a, b } = text.getScreenCTM(), size = parseFloat(getComputedStyle(raised).fontSize) * Math.hypot(a, b) * 0.75;
              if (raised.textContent.trim() && size < 5.99) faults.push(`${JSON.stringify(raised.textContent)} has ${size.toFixed(2)} points`);
            }
          }
          lines.forEach((a, i) => lines.slice(i + 1).forEach(b => { if (a.text !== b.text && overlap(a.box, b.box) > 0.5) faults.push(`${a.name} and ${b.name} overlap by ${overlap(a.box, b.box).toFixed(1)} px`); }));
          return faults;
        };
        """;

    private const string Draw =
        """
        const figure = JSON.parse(json), place = document.body.appendChild(document.createElement('div'));
        await Plotly.newPlot(place, figure.data, figure.layout, figure.config);
        const texts = [...place.querySelectorAll('text')].map(t => t.textContent).filter(t => t);
        Plotly.purge(place);
        place.remove();
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;
    private RunningBrowser? browser;
    private IPage? page;

    public async ValueTask InitializeAsync()
    {
        if (PaperBrowser.Find() is { } program)
        {
            browser = await RunningBrowser.StartAsync(program);
            page = await browser.PageAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.DisposeAsync();
        }

        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Skips the test where no browser is installed.</summary>
    public static void Require() =>
        Assert.SkipWhen(PaperBrowser.Find() is null, $"No Chromium, Chrome or Edge is installed, and {PaperBrowser.Variable} names none.");

    /// <summary>The page, with plotly.js in it; skips the test where no browser is installed.</summary>
    public IPage Page
    {
        get
        {
            Require();
            return page!;
        }
    }

    /// <summary>Asserts that plotly.js finds no fault with a chart, and draws it. It takes fault with every argument of a menu's button that is an array or
    /// an object, since it compares it with its own copy.</summary>
    public async Task AcceptsAsync(GenericChart chart) => Assert.Empty(await Page.EvaluateFunctionAsync<string[]>(
        $$"""async json => { {{Draw}} return (Plotly.validate(figure.data, figure.layout) || []).map(fault => fault.msg).filter(fault => !/^In layout, key updatemenus.*args/.test(fault)); }""", ChartOutput.Json(chart)));

    /// <summary>Everything that is written in a chart on a screen.</summary>
    public async Task<string[]> TextsAsync(GenericChart chart) =>
        await Page.EvaluateFunctionAsync<string[]>($$"""async json => { {{Draw}} return texts; }""", ChartOutput.Json(chart));

    /// <summary>A chart as an SVG for paper.</summary>
    public async Task<string> PaperAsync(GenericChart chart, double widthMm, double? heightMm = null)
    {
        Require();
        var path = Path.Combine(folder, $"{Guid.NewGuid():N}.svg");
        await chart.SavePaperAsync(path, widthMm, heightMm);
        return await File.ReadAllTextAsync(path);
    }

    /// <summary>What is wrong with the text of an SVG for paper: boxes that overlap by more than half a pixel, text beyond the page, cut, or not of 6 to 8 points.</summary>
    public async Task<string[]> FaultsAsync(string svg) => await Page.EvaluateFunctionAsync<string[]>(
        $$"""svg => { {{Measure}} document.body.innerHTML = svg; return faultsOf(document.querySelector('svg'), 6, 8); }""", svg);

    /// <summary>What is wrong with the text of a chart on a screen, where it has 8 points at least.</summary>
    public async Task<string[]> ScreenFaultsAsync(GenericChart chart) => await Page.EvaluateFunctionAsync<string[]>(
        $$"""
        async json => {
          {{Measure}}
          document.body.innerHTML = '';
          const figure = JSON.parse(json), place = document.body.appendChild(document.createElement('div'));
          await Plotly.newPlot(place, figure.data, figure.layout, figure.config);
          const faults = faultsOf(place.querySelector('.svg-container'), 8, 99);
          Plotly.purge(place);
          place.remove();
          return faults;
        }
        """,
        ChartOutput.Json(chart));

    /// <summary>Asserts that a chart has no such fault at a width.</summary>
    public async Task FitsAsync(GenericChart chart, double widthMm, double? heightMm = null) =>
        Assert.Empty(await FaultsAsync(await PaperAsync(chart, widthMm, heightMm)));
}

/// <summary>The tests that share the browser.</summary>
[CollectionDefinition(ChartBrowser.Collection)]
public sealed class InChartBrowser : ICollectionFixture<ChartBrowser>;
