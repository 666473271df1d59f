namespace HeadScope;

/// <summary>
/// What surrounds a call that was given neither a progress nor a cancellation token: a notebook cell or a command sets these once,
/// and every long call inside picks them up, so that a progress bar appears and an interrupt works without a word in the cell.
/// </summary>
/// <remarks>They flow with the execution context: into tasks, parallel loops and awaited calls, and nowhere else.</remarks>
internal static class AmbientWork
{
    private static readonly AsyncLocal<Surroundings?> Current = new();

    /// <summary>Cancelled when the surrounding cell or command is interrupted; <see cref="CancellationToken.None"/> outside of one.</summary>
    public static CancellationToken CancellationToken => Current.Value?.CancellationToken ?? default;

    /// <summary>Where a call reports to that was given no progress of its own; null outside of a cell or command.</summary>
    public static IProgress<WorkProgress>? Progress => Current.Value?.Progress;

    /// <summary>What a long call was given, and the surroundings' in place of what it was not given.</summary>
    /// <param name="progress">The call's own progress; null for none.</param>
    /// <param name="cancellationToken">The call's own token; one that cannot be cancelled counts as none.</param>
    internal static (IProgress<WorkProgress>? Progress, CancellationToken CancellationToken) Or(
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken) =>
        (progress ?? Progress, cancellationToken.CanBeCanceled ? cancellationToken : CancellationToken);

    /// <summary>Sets both for the calls until the result is disposed.</summary>
    /// <param name="progress">Where to report; null for nowhere.</param>
    /// <param name="cancellationToken">What interrupts the work.</param>
    public static IDisposable Enter(IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var inner = new Surroundings(progress, cancellationToken, Current.Value);
        Current.Value = inner;
        return inner;
    }

    private sealed class Surroundings(IProgress<WorkProgress>? progress, CancellationToken cancellationToken, Surroundings? outer)
        : IDisposable
    {
        public IProgress<WorkProgress>? Progress => progress;

        public CancellationToken CancellationToken => cancellationToken;

        public void Dispose() => Current.Value = outer;
    }
}
