using System.Text.Json.Nodes;

namespace HeadScope.Notebooks.Tests;

/// <summary>A real browser with plotly.js in its page; tests that need one are skipped where either is missing.</summary>
public sealed class PlotlyBrowser : IAsyncLifetime
{
    private HeadlessBrowser? browser;
    private string? folder;

    public async ValueTask InitializeAsync()
    {
        if (HeadlessBrowser.Find() is null || PlotlyScript.Find() is not { } plotly)
        {
            return;
        }

        folder = Directory.CreateTempSubdirectory("headscope-test-").FullName;
        var page = Path.Combine(folder, "page.html");
        await File.WriteAllTextAsync(page, $"<!doctype html><meta charset=utf-8><script src=\"{new Uri(plotly).AbsoluteUri}\"></script><div id=f></div>");
        browser = await HeadlessBrowser.StartAsync();
        await browser.OpenAsync(page);
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.DisposeAsync();
            Directory.Delete(folder!, recursive: true);
        }
    }

    /// <summary>The browser; skips the test when there is none.</summary>
    public HeadlessBrowser Get()
    {
        Require();
        return browser!;
    }

    /// <summary>Skips the test where no browser or no plotly.js is.</summary>
    public static void Require()
    {
        Assert.SkipWhen(HeadlessBrowser.Find() is null, $"No Chromium, Chrome or Edge is installed, and {HeadlessBrowser.Variable} names none.");
        Assert.SkipWhen(PlotlyScript.Find() is null, $"plotly.js {PlotlyScript.Version} is not in the cache, and {PlotlyScript.Variable} names no file.");
    }

    /// <summary>Asserts that plotly.js finds no fault with a figure and draws it.</summary>
    public async Task AcceptsAsync(Figure figure)
    {
        var faults = await Get().EvaluateAsync(
            $$"""
            (async () => {
              const figure = {{figure.ToJson()}};
              const faults = Plotly.validate(figure.data, figure.layout) || [];
              await Plotly.newPlot('f', figure.data, figure.layout, figure.config);
              Plotly.purge('f');
              return faults.map(f => f.msg);
            })()
            """);
        Assert.Empty(((JsonArray)faults!).Select(f => f!.GetValue<string>()));
    }

    /// <summary>Everything that is written in a figure once plotly.js has drawn it.</summary>
    public async Task<string[]> TextsAsync(Figure figure)
    {
        var texts = await Get().EvaluateAsync(
            $$"""
            (async () => {
              const figure = {{figure.ToJson()}};
              await Plotly.newPlot('f', figure.data, figure.layout, figure.config);
              const texts = [...document.querySelectorAll('#f text')].map(t => t.textContent);
              Plotly.purge('f');
              return texts;
            })()
            """);
        return [.. ((JsonArray)texts!).Select(t => t!.GetValue<string>())];
    }
}

/// <summary>The tests that share one browser.</summary>
[CollectionDefinition(Name)]
public sealed class InBrowser : ICollectionFixture<PlotlyBrowser>
{
    public const string Name = "in a browser";
}
