using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using PuppeteerSharp;

namespace HeadScope.Notebooks.Tests;

/// <summary>The kernel as a person meets it: Jupyter's own page in a real browser, its Run button, and the figure under the cell.</summary>
/// <param name="client">Python with Jupyter, and the installed kernel.</param>
[Collection(nameof(PythonClient))]
public sealed class NotebookPageTests(PythonClient client) : IAsyncDisposable
{
    private const string Token = "for-this-test";
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(120);

    private readonly string folder = Directory.CreateTempSubdirectory("headscope-page-").FullName;
    private Process? server;

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            server.Kill(entireProcessTree: true);
            await server.WaitForExitAsync();
            server.Dispose();
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_figure_is_drawn_under_the_cell_that_made_it()
    {
        client.Require();
        Assert.SkipWhen(client.Run("-c", "import notebook.notebookapp").Code != 0, "Jupyter's notebook page is not installed; on Debian: apt-get install jupyter-notebook.");
        ChartBrowser.Require();
        await File.WriteAllTextAsync(Path.Combine(folder, "a.ipynb"), """
            {"cells": [
              {"cell_type": "markdown", "metadata": {}, "source": "# Which heads know capitals?\nRun with the button."},
              {"cell_type": "code", "metadata": {}, "source": "var model = Model.Load(\"demo\");\nvar map = HeadMap.Score(model, [Relations.CountryToCapital]);\nmap", "outputs": [], "execution_count": null},
              {"cell_type": "code", "metadata": {}, "source": "map[\"country_to_capital\"].Top(3).Select(top => top.Head)", "outputs": [], "execution_count": null}],
             "metadata": {"kernelspec": {"name": "headscope", "display_name": "C# (HeadScope)", "language": "C#"}}, "nbformat": 4, "nbformat_minor": 4}
            """, TestContext.Current.CancellationToken);
        var address = await ServeAsync();
        await using var running = await RunningBrowser.StartAsync(PaperBrowser.Require());
        var browser = await running.PageAsync();
        await browser.SetViewportAsync(new ViewPortOptions { Width = 1200, Height = 900 });
        await browser.GoToAsync(address);
        await WaitAsync(browser, "window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel && Jupyter.notebook.kernel.is_connected()", "the kernel's connection");
        Assert.Equal("C# (HeadScope)", await TextAsync(browser, "document.querySelector('.kernel_indicator_name').textContent"));

        // The kernel's first figure carries plotly.js along, so that no network is needed. Where the work takes long, its progress stands above
        // the figure, in an area of its own.
        const string Output = "document.querySelectorAll('.code_cell')[0].querySelector('.output')";
        await RunAsync(browser, cell: 1);
        await WaitAsync(browser, $"{Output} && {Output}.querySelector('svg.main-svg .heatmaplayer image')", "plotly.js's figure");
        await RunAsync(browser, cell: 2);
        await WaitAsync(browser, "document.querySelectorAll('.code_cell')[1].querySelector('.output_result')", "the second cell's value");
        Assert.Equal("[1]:|[2]:", await TextAsync(
            browser, "[...document.querySelectorAll('.code_cell .input_prompt')].slice(0, 2).map(p => p.textContent.replace(/In\\s*/, '').trim()).join('|')"));
        Assert.Contains("country to capital", await TextAsync(browser, $"{Output}.textContent"), StringComparison.Ordinal);
        Assert.True(await InkAsync(browser, $"{Output}.querySelector('svg.main-svg')", "notebook-page.png") > 0.02, "The figure is blank.");
    }

    /// <summary>Starts Jupyter with settings of its own; gives the address of the notebook.</summary>
    private async Task<string> ServeAsync()
    {
        int port;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        var start = new ProcessStartInfo(
            client.Python!,
            [
                "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", $"--port={port}", $"--NotebookApp.token={Token}",
                $"--notebook-dir={folder}", "--NotebookApp.port_retries=0",
            ])
        { RedirectStandardError = true, RedirectStandardOutput = true, UseShellExecute = false };
        foreach (var (name, value) in new[] { ("JUPYTER_PATH", client.Data), ("JUPYTER_CONFIG_DIR", folder), ("JUPYTER_RUNTIME_DIR", Path.Combine(folder, "runtime")) })
        {
            start.Environment[name] = value;
        }

        server = Process.Start(start)!;
        var said = server.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        _ = server.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        using var http = new HttpClient();
        for (var waited = Stopwatch.StartNew(); waited.Elapsed < Longest; await Task.Delay(100, TestContext.Current.CancellationToken))
        {
            Assert.False(server.HasExited, server.HasExited ? await said : "");
            try
            {
                using var answer = await http.GetAsync(
                    $"http://127.0.0.1:{port}/api/kernelspecs?token={Token}", TestContext.Current.CancellationToken);
                Assert.Contains("C# (HeadScope)", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
                return $"http://127.0.0.1:{port}/notebooks/a.ipynb?token={Token}";
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
        }

        throw new TimeoutException("Jupyter did not start to listen.");
    }

    /// <summary>Clicks a cell and the Run button, as a person does.</summary>
    private static async Task RunAsync(IPage browser, int cell) => await browser.EvaluateExpressionAsync(
        $"Jupyter.notebook.select({cell}); document.querySelector('[data-jupyter-action=\"jupyter-notebook:run-cell-and-select-next\"]').click()");

    private static async Task WaitAsync(IPage browser, string condition, string what)
    {
        for (var waited = Stopwatch.StartNew(); waited.Elapsed < Longest; await Task.Delay(100, TestContext.Current.CancellationToken))
        {
            if (await browser.EvaluateExpressionAsync<bool>($"!!({condition})"))
            {
                return;
            }
        }

        Assert.Fail($"Waited in vain for {what}; the page says: {await TextAsync(browser, "document.body.innerText")}");
    }

    private static async Task<string> TextAsync(IPage browser, string expression) => await browser.EvaluateExpressionAsync<string>(expression);

    /// <summary>
    /// Takes a picture of the page, keeps it beside the tests for people to look at, and gives the share of an element's pixels that
    /// differ from the paper.
    /// </summary>
    private static async Task<double> InkAsync(IPage browser, string element, string file)
    {
        await browser.EvaluateExpressionAsync($"{element}.scrollIntoView({{ block: 'center' }})");
        var picture = await browser.ScreenshotDataAsync();
        await File.WriteAllBytesAsync(Path.Combine(AppContext.BaseDirectory, file), picture, TestContext.Current.CancellationToken);
        return await browser.EvaluateExpressionAsync<double>(
            $$"""
            new Promise((done, fail) => {
              const picture = new Image();
              picture.onerror = () => fail(new Error('not a picture'));
              picture.onload = () => {
                const place = {{element}}.getBoundingClientRect();
                const canvas = document.createElement('canvas');
                canvas.width = place.width;
                canvas.height = place.height;
                const drawing = canvas.getContext('2d');
                drawing.drawImage(picture, -place.left, -place.top);
                const pixels = drawing.getImageData(0, 0, canvas.width, canvas.height).data;
                let ink = 0;
                for (let i = 0; i < pixels.length; i += 4) {
                  if (pixels[i + 3] > 0 && Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) < 200) { ink++; }
                }
                done(4 * ink / pixels.length);
              };
              picture.src = 'data:image/png;base64,{{Convert.ToBase64String(picture)}}';
            })
            """);
    }
}
