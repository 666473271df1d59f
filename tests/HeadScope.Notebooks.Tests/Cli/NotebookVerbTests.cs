using HeadScope.Cli;
using HeadScope.Notebooks.Kernel;
using HeadScope.Notebooks.Running;

namespace HeadScope.Notebooks.Tests;

/// <summary>A run takes the process into the notebook's folder, so nothing else runs meanwhile.</summary>
[CollectionDefinition(nameof(NotebookVerbTests), DisableParallelization = true)]
public sealed class NotebookVerbTestsAlone;

/// <summary><c>headscope notebook run</c> and <c>kernel install</c>: which files they touch.</summary>
[Collection(nameof(NotebookVerbTests))]
public sealed class NotebookVerbTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("headscope-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task The_notebook_itself_is_written_only_when_asked()
    {
        var path = Notebook("1 + 1");
        var before = await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken);
        var (code, _, error) = await CommandLine.RunAsync("notebook", "run", path);
        Assert.Equal(ExitCode.WrongUsage, code);
        Assert.Contains("-o FILE", error, StringComparison.Ordinal);
        Assert.Contains("--in-place", error, StringComparison.Ordinal);

        // By another name it is the same file.
        var link = Path.Combine(folder, "link.ipynb");
        File.CreateSymbolicLink(link, path);
        foreach (var same in new[] { path, Path.Combine(folder, ".", "a.ipynb"), link })
        {
            (code, _, error) = await CommandLine.RunAsync("notebook", "run", path, "-o", same);
            Assert.Equal(ExitCode.WrongUsage, code);
            Assert.Contains("is the notebook itself", error, StringComparison.Ordinal);
        }

        (code, _, error) = await CommandLine.RunAsync("notebook", "run", path, "--in-place", "-o", Path.Combine(folder, "b.ipynb"));
        Assert.Equal(ExitCode.WrongUsage, code);
        Assert.Contains("exclude each other", error, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));

        (code, _, _) = await CommandLine.RunAsync("notebook", "run", path, "-o", Path.Combine(folder, "b.ipynb"), "--html", Path.Combine(folder, "b.html"));
        Assert.Equal(ExitCode.Done, code);
        Assert.Equal(before, await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
        Assert.Equal("2", Result(Path.Combine(folder, "b.ipynb")));
        Assert.Contains("<pre>2</pre>", await File.ReadAllTextAsync(Path.Combine(folder, "b.html"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task In_place_a_file_keeps_its_mode_and_a_link_leads_to_it()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Modes are those of Unix.");
        var path = Notebook("6 * 7");
        var link = Path.Combine(folder, "link.ipynb");
        File.CreateSymbolicLink(link, "a.ipynb");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            var (code, _, error) = await CommandLine.RunAsync("notebook", "run", link, "--in-place");
            Assert.True(code == ExitCode.Done, error);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        }

        Assert.Equal("a.ipynb", new FileInfo(link).LinkTarget);
        Assert.Null(new FileInfo(path).LinkTarget);
        Assert.Equal("42", Result(path));
    }

    [Theory]
    [InlineData("-o", "")]
    [InlineData("-o", "new/")]
    [InlineData("--html", "")]
    [InlineData("-o", "a.ipynb/b.ipynb")]
    public async Task What_cannot_be_written_is_refused_before_any_cell_runs(string option, string name)
    {
        var ran = Path.Combine(folder, "ran");
        var path = Notebook($"File.WriteAllText(@\\\"{ran}\\\", \\\"\\\");");
        var (code, _, error) = await CommandLine.RunAsync("notebook", "run", path, option, folder + Path.DirectorySeparatorChar + name);
        Assert.Equal(ExitCode.Failed, code);
        Assert.Contains(folder, error, StringComparison.Ordinal);
        Assert.False(File.Exists(ran));
    }

    [Fact]
    public async Task A_failing_cell_is_named_by_its_number_and_what_it_showed_is_kept()
    {
        var path = Notebook("var x = 1;", "Console.Write(x);\\nthrow new Exception(\\\"bad\\\");");
        var output = Path.Combine(folder, "b.ipynb");
        var (code, _, error) = await CommandLine.RunAsync("notebook", "run", path, "-o", output);
        Assert.Equal(ExitCode.Failed, code);
        Assert.Contains("cell [2] failed:", error, StringComparison.Ordinal);
        Assert.Equal(2, NotebookFile.Read(output).Cells[1]!["outputs"]!.AsArray().Count);
    }

    [Fact]
    public async Task Charts_are_kept_as_data_and_picture_without_a_script()
    {
        Assert.SkipWhen(PaperBrowser.Find() is null, "No Chromium, Chrome or Edge is here to draw with.");
        var path = Notebook("Charts.Bars([(\\\"a\\\", 1, 0), (\\\"<b>\\\", 2, 0)], \\\"title\\\", \\\"value\\\")");
        var output = Path.Combine(folder, "b.ipynb");
        var (code, _, error) = await CommandLine.RunAsync("notebook", "run", path, "-o", output, "--html", Path.Combine(folder, "b.html"));
        Assert.True(code == ExitCode.Done, error);
        var data = NotebookFile.Read(output).Cells[0]!["outputs"]![0]!["data"]!.AsObject();
        Assert.Equal(["application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"], data.Select(form => form.Key).Order(StringComparer.Ordinal));
        var svg = System.Xml.Linq.XDocument.Parse(NotebookFile.Joined(data["image/svg+xml"]));
        Assert.Equal("svg", svg.Root!.Name.LocalName);
        Assert.DoesNotContain(svg.Descendants(), element => element.Name.LocalName is "script" or "foreignObject");
        var page = await File.ReadAllTextAsync(Path.Combine(folder, "b.html"), TestContext.Current.CancellationToken);
        Assert.Contains(ChartOutput.Mark, page, StringComparison.Ordinal);
        Assert.Equal(2, page.Split("headscopePlotlyPacked = ").Length);
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData(".hidden")]
    [InlineData("-x")]
    [InlineData("a/b")]
    [InlineData("")]
    public void A_kernels_name_leads_nowhere_else(string name)
    {
        Assert.Throws<ArgumentException>(() => KernelSpecification.Install(folder, ["program"], name));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }

    private static string Result(string notebook) => NotebookFile.Joined(NotebookFile.Read(notebook).Cells[0]!["outputs"]![0]!["data"]!["text/plain"]);

    private string Notebook(params string[] sources)
    {
        var path = Path.Combine(folder, "a.ipynb");
        var cells = sources.Select((source, i) =>
            $$"""{"cell_type": "code", "id": "c{{i}}", "metadata": {}, "source": "{{source}}", "outputs": [], "execution_count": null}""");
        File.WriteAllText(path, $$"""{"cells": [{{string.Join(',', cells)}}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}""");
        return path;
    }
}
