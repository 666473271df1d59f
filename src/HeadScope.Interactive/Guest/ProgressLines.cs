namespace HeadScope;

/// <summary>Tells how far long calls have come, as a line of text every 30 seconds; calls that end before that say nothing.</summary>
/// <param name="write">Shows a line.</param>
/// <param name="clock">Tells the time.</param>
internal sealed class ProgressLines(Action<string> write, TimeProvider clock) : IProgress<WorkProgress>
{
    private static readonly TimeSpan Between = TimeSpan.FromSeconds(30);

    private readonly Lock gate = new();
    private readonly Dictionary<string, Stage> stages = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public void Report(WorkProgress value)
    {
        lock (gate)
        {
            var now = clock.GetTimestamp();
            if (!stages.TryGetValue(value.Stage, out var stage) || value.Done < stage.Done)
            {
                stage = new(Began: now, Told: now, value.Done); // no call says that it was broken off: it begins anew
            }

            var tells = clock.GetElapsedTime(stage.Told, now) >= Between;
            stages[value.Stage] = stage with { Told = tells ? now : stage.Told, Done = value.Done };
            if (value.Total > 0 && value.Done >= value.Total)
            {
                stages.Remove(value.Stage);
            }

            if (tells)
            {
                write(value.InWords(clock.GetElapsedTime(stage.Began, now)));
            }
        }
    }

    private sealed record Stage(long Began, long Told, long Done);
}
