using System.Collections.Concurrent;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace HeadScope.Cli;

/// <summary>
/// A progress bar with rate and time left on standard error, one line for each stage of the work.
/// It stays silent when standard error is not a terminal, so that logs and pipes hold no control characters.
/// </summary>
internal static class TerminalProgress
{
    /// <summary>Runs work that reports its progress, and shows the bar while it runs.</summary>
    /// <param name="work">The work; what it reports is drawn.</param>
    /// <typeparam name="T">What the work returns.</typeparam>
    /// <returns>The work's result.</returns>
    public static T Show<T>(Func<IProgress<WorkProgress>?, T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        if (Console.IsErrorRedirected)
        {
            return work(null);
        }

        var terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        if (!terminal.Profile.Capabilities.Interactive)
        {
            return work(null);
        }

        var last = new ConcurrentDictionary<int, WorkProgress>();
        return terminal.Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn(),
                new PercentageColumn(),
                new TextColumn(task => last.TryGetValue(task.Id, out var report) && task.Speed is { } speed
                    ? Rates.PerSecond(speed, report.Unit)
                    : ""),
                new RemainingTimeColumn(),
                new TextColumn(task => last.TryGetValue(task.Id, out var report) ? report.Detail ?? "" : ""))
            .Start(context => work(new Bars(context, last)));
    }

    /// <summary>Runs work that returns nothing.</summary>
    /// <param name="work">The work; what it reports is drawn.</param>
    public static void Show(Action<IProgress<WorkProgress>?> work) =>
        Show<object?>(progress =>
        {
            work(progress);
            return null;
        });

    /// <summary>Reports to the bar at once, in the thread that reports: <see cref="Progress{T}"/> would reorder reports.</summary>
    private sealed class Bars(ProgressContext context, ConcurrentDictionary<int, WorkProgress> last) : IProgress<WorkProgress>
    {
        private readonly Dictionary<string, ProgressTask> tasks = [];
        private readonly Lock gate = new();

        public void Report(WorkProgress value)
        {
            lock (gate)
            {
                if (!tasks.TryGetValue(value.Stage, out var task))
                {
                    task = context.AddTask(Markup.Escape(value.Stage));
                    tasks.Add(value.Stage, task);
                }

                last[task.Id] = value;
                task.IsIndeterminate = value.Total <= 0;
                task.MaxValue = Math.Max(1, value.Total);
                task.Value = value.Done;
            }
        }
    }

    private sealed class TextColumn(Func<ProgressTask, string> text) : ProgressColumn
    {
        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) => new Text(text(task));
    }
}
