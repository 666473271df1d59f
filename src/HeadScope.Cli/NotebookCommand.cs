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
            Description = "Where to write the notebook with its outputs; the notebook itself when not given.",
            HelpName = "file",
        };
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
            + "the notebook is written in either case.")
        {
            Examples =
            [
                ("headscope notebook run notebooks/01-head-map.ipynb", "with the built-in model; the outputs go into the notebook"),
                ("headscope notebook run notebooks/01-head-map.ipynb -p model=gpt2 -o gpt2.ipynb --html gpt2.html", "with another model"),
            ],
        };
        verb.Arguments.Add(file);
        verb.Options.Add(result);
        verb.Options.Add(parameters);
        verb.Options.Add(page);
        verb.Options.Add(timeout);
        verb.Does((parsed, cancellation) =>
        {
            var path = parsed.GetValue(file)!;
            var options = new NotebookRunOptions
            {
                Parameters = [.. (parsed.GetValue(parameters) ?? []).Select(Parameter)],
                Timeout = parsed.GetValue(timeout) is { } seconds
                    ? seconds > 0 ? TimeSpan.FromSeconds(seconds) : throw new UsageException("--timeout must be more than 0 seconds.")
                    : null,
            };
            var notebook = NotebookFile.Read(path);
            var target = Path.GetFullPath(parsed.GetValue(result) ?? path);
            var html = parsed.GetValue(page) is { } named ? Path.GetFullPath(named) : null;

            // Jupyter starts a kernel in the notebook's folder, so paths in cells are meant from there.
            var here = Directory.GetCurrentDirectory();
            Directory.SetCurrentDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            ChartOutput.Carries = false;
            NotebookRun run;
            try
            {
                run = TerminalProgress.Show(progress => NotebookRunner.RunAsync(notebook, options, progress, cancellation).GetAwaiter().GetResult());
            }
            finally
            {
                Directory.SetCurrentDirectory(here);
            }

            notebook.Write(target);
            if (html is not null)
            {
                AtomicFile.WriteText(html, NotebookPage.Of(notebook, Path.GetFileNameWithoutExtension(target), Path.GetDirectoryName(Path.GetFullPath(path))));
            }

            var configuration = parsed.InvocationConfiguration;
            if (run.Succeeded)
            {
                configuration.Output.WriteLine($"{path}: all cells ran; written to {target}");
                return Task.FromResult(ExitCode.Done);
            }

            configuration.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"headscope: {path}: cell {run.FailedCell + 1} failed:"));
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

    private static KeyValuePair<string, string> Parameter(string assignment)
    {
        var split = assignment.IndexOf('=', StringComparison.Ordinal);
        return split > 0
            ? new(assignment[..split].Trim(), assignment[(split + 1)..])
            : throw new UsageException($"-p {assignment} has no '='; expected name=value.");
    }
}
