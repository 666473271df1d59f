using System.Diagnostics;
using System.Globalization;
using System.Net;
using HeadScope.Notebooks.Session;

namespace HeadScope.Notebooks.Kernel;

/// <summary>
/// Draws what a cell's long calls report as a bar with rate and time left, which appears by itself after a moment and becomes one
/// line of text in the end.
/// </summary>
/// <param name="output">Where the cell's output goes.</param>
internal sealed class ProgressDisplay(CellOutput output) : IProgress<WorkProgress>
{
    private static readonly TimeSpan BeforeShowing = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan BetweenUpdates = TimeSpan.FromMilliseconds(150);

    private readonly object gate = new();
    private readonly Dictionary<string, Bar> bars = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public void Report(WorkProgress value)
    {
        lock (gate)
        {
            if (!bars.TryGetValue(value.Stage, out var bar))
            {
                bars[value.Stage] = bar = new Bar();
            }

            bar.Last = value;
            var elapsed = bar.Clock.Elapsed;
            if (bar.DisplayId is null && elapsed >= BeforeShowing && value.Done < value.Total)
            {
                bar.DisplayId = Guid.NewGuid().ToString("N");
                bar.Shown = elapsed;
                output.Display(Drawn(bar), bar.DisplayId);
            }
            else if (bar.DisplayId is not null && elapsed - bar.Shown >= BetweenUpdates)
            {
                bar.Shown = elapsed;
                output.UpdateDisplay(Drawn(bar), bar.DisplayId);
            }
        }
    }

    /// <summary>Shows how each bar ended.</summary>
    public void Finish()
    {
        lock (gate)
        {
            foreach (var bar in bars.Values.Where(b => b.DisplayId is not null))
            {
                output.UpdateDisplay(Drawn(bar), bar.DisplayId!);
            }

            bars.Clear();
        }
    }

    private static MimeBundle Drawn(Bar bar)
    {
        var work = bar.Last;
        var words = work.InWords(bar.Clock.Elapsed);
        var bound = work.Total > 0 ? string.Create(CultureInfo.InvariantCulture, $" value=\"{work.Done}\" max=\"{work.Total}\"") : "";
        var html = work.Done < work.Total || work.Total <= 0
            ? $"<div><progress{bound} style=\"width: 20em; vertical-align: middle\"></progress> <small>{WebUtility.HtmlEncode(words)}</small></div>"
            : $"<div><small>{WebUtility.HtmlEncode(words)}</small></div>";
        return new MimeBundle(new Dictionary<string, string>(StringComparer.Ordinal) { ["text/html"] = html, ["text/plain"] = words });
    }

    private sealed class Bar
    {
        public Stopwatch Clock { get; } = Stopwatch.StartNew();

        public string? DisplayId { get; set; }

        public TimeSpan Shown { get; set; }

        public WorkProgress Last { get; set; }
    }
}
