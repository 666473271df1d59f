namespace HeadScope;

/// <summary>
/// What surrounds a call that was given neither a progress nor a cancellation token: a notebook cell or a command sets these once,
/// and every long call inside picks them up, so that a progress bar appears and an interrupt works without a word in the cell.
/// </summary>
/// <remarks>They flow with the execution context: into tasks, parallel loops and awaited calls, and nowhere else.</remarks>
internal static class AmbientWork
{
    private static readonly AsyncLocal<Surroundings?> Current = new();

    /// <summary>The surroundings of calls around which nothing else was set: for a kernel that is not HeadScope's, whose cells nobody can
    /// surround.</summary>
    public static Func<(IProgress<WorkProgress>? Progress, CancellationToken Interrupt)>? Outermost { get; set; }

    /// <summary>What a long call was given, and the surroundings' in place of what it was not given.</summary>
    /// <param name="progress">The call's own progress; null for none.</param>
    /// <param name="cancellationToken">The call's own token; one that cannot be cancelled counts as none.</param>
    public static (IProgress<WorkProgress>? Progress, CancellationToken CancellationToken) Or(
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var (around, interrupt) = Current.Value is { } current ? (current.Progress, current.Interrupt) : Outermost?.Invoke() ?? default;
        return (progress ?? around, cancellationToken.CanBeCanceled ? cancellationToken : interrupt);
    }

    /// <summary>Sets both for the calls until the result is disposed.</summary>
    /// <param name="progress">Where to report; null for nowhere.</param>
    /// <param name="cancellationToken">What interrupts the work.</param>
    public static IDisposable Enter(IProgress<WorkProgress>? progress, CancellationToken cancellationToken) =>
        Current.Value = new(progress, cancellationToken, Current.Value);

    private sealed record Surroundings(IProgress<WorkProgress>? Progress, CancellationToken Interrupt, Surroundings? Outer) : IDisposable
    {
        public void Dispose() => Current.Value = Outer;
    }
}
