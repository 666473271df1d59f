using System.Globalization;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Kernel;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Running;

/// <summary>Runs a notebook top to bottom in a session of its own, as the kernel would, without a person or a server.</summary>
internal static class NotebookRunner
{
    /// <summary>Runs all code cells, up to the first that fails, and puts their outputs into the notebook.</summary>
    /// <param name="notebook">The notebook; its outputs are replaced.</param>
    /// <param name="options">Parameters and limits; null for none.</param>
    /// <param name="progress">Told which cell is running, and what that cell's long calls report.</param>
    /// <param name="cancellationToken">Interrupts the running cell and ends the run.</param>
    /// <returns>How it ended. The notebook holds the outputs of the cells that ran, also of the one that failed.</returns>
    /// <exception cref="ArgumentException">A parameter's name is not one of C#, or not one of the cell tagged <c>parameters</c>.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static async Task<NotebookRun> RunAsync(
        NotebookFile notebook,
        NotebookRunOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(notebook);
        options ??= new NotebookRunOptions();
        if (options.Parameters.Count > 0)
        {
            var assignments = NotebookParameters.ToCode(options.Parameters);
            if (notebook.Cells.OfType<JsonObject>().FirstOrDefault(cell => NotebookFile.HasTag(cell, "parameters")) is { } tagged)
            {
                NotebookParameters.RefuseUnknown(options.Parameters, NotebookFile.Joined(tagged["source"]));
            }

            notebook.InjectParameters(assignments);
        }

        var code = notebook.Cells.Select(cell => (JsonObject)cell!).Where(cell => (string?)cell["cell_type"] == "code").ToList();
        foreach (var cell in code)
        {
            cell["outputs"] = new JsonArray();
            cell["execution_count"] = null;
        }

        using var session = new CSharpSession([.. options.Extensions]);
        var displays = new Dictionary<string, List<JsonObject>>(StringComparer.Ordinal);
        var (count, done) = (0, 0);
        var run = new NotebookRun(null, null, null);
        foreach (var cell in code)
        {
            progress?.Report(new WorkProgress("notebook", done++, code.Count, "cells"));
            var source = NotebookFile.Joined(cell["source"]);
            if (string.IsNullOrWhiteSpace(source))
            {
                continue;
            }

            cell["execution_count"] = ++count;
            var output = new NotebookOutput((JsonArray)cell["outputs"]!, displays);
            var result = await RunCellAsync(session, source, output, options.Timeout, progress, cancellationToken);
            cancellationToken.ThrowIfCancellationRequested();
            if (result.Error is { } error)
            {
                output.Error(error);
                run = new NotebookRun(count, source, error);
                break;
            }

            if (result.Shown is { } shown)
            {
                output.Result(shown, count);
            }

            output.Flush();
        }

        progress?.Report(new WorkProgress("notebook", code.Count, code.Count, "cells"));
        if (options.Draw is { } draw)
        {
            await NotebookPictures.DrawAsync(notebook, draw, progress, cancellationToken);
        }

        Describe(notebook.Root);
        return run;
    }

    private static async Task<CellResult> RunCellAsync(
        CSharpSession session, string source, NotebookOutput output, TimeSpan? timeout, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (timeout is { } longest)
        {
            limit.CancelAfter(longest);
        }

        var result = await session.RunAsync(source, output, progress, limit.Token);
        if (result.Error?.Name != "Interrupted" || cancellationToken.IsCancellationRequested)
        {
            return result;
        }

        var message = string.Create(CultureInfo.InvariantCulture, $"The cell took longer than the {timeout!.Value.TotalSeconds:G} s allowed.");
        return CellResult.Failed(new CellError("Timeout", message, [$"\e[31m\e[1mTimeout\e[0m\e[31m: {message}\e[0m", .. result.Error.Traceback.Skip(1)]));
    }

    // What a notebook says about its kernel and language, where it says nothing yet.
    private static void Describe(JsonObject root)
    {
        if (root["metadata"] is not JsonObject metadata)
        {
            root["metadata"] = metadata = [];
        }

        metadata["kernelspec"] ??= new JsonObject
        {
            ["display_name"] = KernelSpecification.DisplayName,
            ["language"] = "C#",
            ["name"] = KernelSpecification.Name,
        };
        metadata["language_info"] ??= KernelAnswers.LanguageInfo();
    }
}

/// <summary>How to run a notebook.</summary>
internal sealed record NotebookRunOptions
{
    /// <summary>Values to set in place of those of the cell tagged <c>parameters</c>; numbers, true and false are taken as such.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Parameters { get; init; } = [];

    /// <summary>How long one cell may run; null for any time.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>What the host adds to the session.</summary>
    public IReadOnlyList<SessionExtension> Extensions { get; init; } = [];

    /// <summary>Makes an SVG of a chart in plotly.js's JSON; asked once for each chart, after the last cell. Null for no pictures.</summary>
    public Func<string, CancellationToken, Task<string>>? Draw { get; init; }
}

/// <summary>How the run of a notebook ended.</summary>
/// <param name="FailedCell">The number of the cell that failed, as notebooks show it: its execution count; null when none did.</param>
/// <param name="Source">That cell's code.</param>
/// <param name="Error">Why it failed.</param>
internal sealed record NotebookRun(int? FailedCell, string? Source, CellError? Error)
{
    /// <summary>Whether every cell ran to its end.</summary>
    public bool Succeeded => Error is null;
}
