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

    /// <summary>The same at the beginning of a function, which may call itself without end: the stack must not run out, since that ends the process.</summary>
    /// <exception cref="OperationCanceledException">The cell was interrupted.</exception>
    /// <exception cref="InsufficientExecutionStackException">The calls are nested too deeply.</exception>
    public static void Enter()
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        Check();
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
