using System.ComponentModel;
using System.Runtime.CompilerServices;

namespace HeadScope.Notebooks.Session;

/// <summary>What the loops and functions of cells ask before each round, so that a cell that looks at no token can be stopped.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static class CellInterrupt
{
    // How many interrupted cells have not ended yet. As long as there is none, a check costs one read.
    private static int pending;

    /// <summary>Ends the calling code when it belongs to a cell that was interrupted.</summary>
    /// <exception cref="OperationCanceledException">It was.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Check()
    {
        if (Volatile.Read(ref pending) != 0)
        {
            StopInterrupted();
        }
    }

    internal static void Begin() => Interlocked.Increment(ref pending);

    internal static void End() => Interlocked.Decrement(ref pending);

    private static void StopInterrupted()
    {
        // Timers and tasks of other cells go on.
        if (CellContext.Current is { CancellationToken.IsCancellationRequested: true } cell)
        {
            cell.WasStopped = true;
            throw new OperationCanceledException(cell.CancellationToken);
        }
    }
}
