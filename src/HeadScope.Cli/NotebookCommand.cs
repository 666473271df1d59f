using System.CommandLine;
using System.Globalization;
using HeadScope.Notebooks.Running;

namespace HeadScope.Cli;

/// <summary><c>headscope notebook run</c>: a notebook from top to bottom without a server.</summary>
internal static class NotebookCommand
{
    /// <summary>Makes the verb.</summary>
    public static Command Create() => new("notebook", "Notebooks without a server: run them headless, as a build or a job array does.")
    {
        Run(),
    };

    private static Verb Run()
    {
        var file = new Argument<string>("notebook") { Description = "The notebook (.ipynb)." };
        var result = new Option<string?>("--output", "-o")
        {
            Description = "Where to write the notebook with its outputs.",
            HelpName = "file",
        };
        var inPlace = new Option<bool>("--in-place") { Description = "Write the outputs, and parameters given here, into the notebook itself." };
        var parameters = new Option<string[]>("--parameter", "-p")
        {
            Description = "A value in place of one of the cell tagged \"parameters\": name=value. May be given several times.",
            HelpName = "name=value",
        };
        var page = new Option<string?>("--html") { Description = "Also write the notebook as a page.", HelpName = "file" };
        var timeout = new Option<double?>("--timeout") { Description = "The most seconds that one cell may take.", HelpName = "seconds" };
        var verb = new Verb(
            "run",
            "Runs a notebook from top to bottom in a fresh session. Stops at the first cell that fails, shows it, and ends with exit code 1; "
            + "what -o, --html or --in-place name is written in either case. Charts are kept as data and, where a browser is installed, as pictures.")
        {
            Examples =
            [
                ("headscope notebook run notebooks/01-head-map.ipynb --in-place", "with the built-in model; the outputs go into the notebook"),
                ("headscope notebook run notebooks/01-head-map.ipynb -p model=gpt2 -o gpt2.ipynb --html gpt2.html", "with another model"),
            ],
        };
        verb.Arguments.Add(file);
        verb.Options.Add(result);
        verb.Options.Add(inPlace);
        verb.Options.Add(parameters);
        verb.Options.Add(page);
        verb.Options.Add(timeout);
        verb.Does((parsed, cancellation) =>
        {
            var path = parsed.GetValue(file)!;
            var configuration = parsed.InvocationConfiguration;
            var html = parsed.GetValue(page) is { } named ? Path.GetFullPath(named) : null;
            var target = Target(path, parsed.GetValue(result), parsed.GetValue(inPlace), html);
            foreach (var written in new[] { target, html }.OfType<string>())
            {
                AtomicFile.RequireWritable(written);
            }

            var draws = target is not null && PaperBrowser.Find() is not null;
            if (target is not null && !draws)
            {
                configuration.Error.WriteLine("headscope: no Chromium, Chrome or Edge was found, so the notebook keeps its charts without pictures.");
            }

            var options = new NotebookRunOptions
            {
                Parameters = [.. (parsed.GetValue(parameters) ?? []).Select(Parameter)],
                Timeout = parsed.GetValue(timeout) is { } seconds
                    ? seconds > 0 ? TimeSpan.FromSeconds(seconds) : throw new UsageException("--timeout must be more than 0 seconds.")
                    : null,
                Extensions = [NotebookFigures.Extension],
                Draw = draws ? NotebookFigures.DrawAsync : null,
            };
            var notebook = NotebookFile.Read(path);
            var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;

            // Jupyter starts a kernel in the notebook's folder, so paths in cells are meant from there.
            var here = Directory.GetCurrentDirectory();
            Directory.SetCurrentDirectory(folder);
            ChartOutput.Carries = false;
            NotebookRun run;
            try
            {
                run = TerminalProgress.Show(progress => NotebookRunner.RunAsync(notebook, options, progress, cancellation).GetAwaiter().GetResult());
            }
            finally
            {
                Directory.SetCurrentDirectory(here);
                ChartOutput.Carries = true;
            }

            if (target is not null)
            {
                notebook.Write(target);
            }

            if (html is not null)
            {
                AtomicFile.WriteText(html, NotebookPage.Of(notebook, Path.GetFileNameWithoutExtension(path), folder, NotebookFigures.Head));
            }

            if (run.Succeeded)
            {
                configuration.Output.WriteLine($"{path}: all cells ran; written to {target ?? html}");
                return Task.FromResult(ExitCode.Done);
            }

            configuration.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"headscope: {path}: cell [{run.FailedCell}] failed:"));
            foreach (var line in run.Source!.Split('\n'))
            {
                configuration.Error.WriteLine($"    {line}");
            }

            foreach (var line in run.Error!.Traceback)
            {
                configuration.Error.WriteLine(AnsiText.Plain(line));
            }

            return Task.FromResult(ExitCode.Failed);
        });
        return verb;
    }

    /// <summary>Where the notebook is written; null where only a page is. Its input is overwritten only by who says so.</summary>
    private static string? Target(string notebook, string? output, bool inPlace, string? html)
    {
        if (output is not null && inPlace)
        {
            throw new UsageException("-o and --in-place exclude each other: give one of them.");
        }

        if (output is null && !inPlace && html is null)
        {
            throw new UsageException($"Say where the outputs go: -o FILE or --html FILE, or --in-place to write them into {notebook} itself.");
        }

        return inPlace ? Path.GetFullPath(notebook)
            : output is null ? null
            : AtomicFile.Target(output) != AtomicFile.Target(notebook) ? Path.GetFullPath(output)
            : throw new UsageException($"-o {output} is the notebook itself; give another file, or --in-place to write the outputs into it.");
    }

    private static KeyValuePair<string, string> Parameter(string assignment)
    {
        var split = assignment.IndexOf('=', StringComparison.Ordinal);
        return split > 0
            ? new(assignment[..split].Trim(), assignment[(split + 1)..])
            : throw new UsageException($"-p {assignment} has no '='; expected name=value.");
    }
}
