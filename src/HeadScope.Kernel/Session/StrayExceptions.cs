using System.Runtime.ExceptionServices;

namespace HeadScope.Notebooks.Session;

/// <summary>
/// Exceptions that nobody can catch, since they end a thread or an <c>async void</c> method that a cell started: they become an error text of that
/// cell, where they would end the process and with it what all cells have made.
/// </summary>
internal static class StrayExceptions
{
    private static int installed;

    /// <summary>Begins to catch them, for the whole process. What no cell has started ends the process as ever.</summary>
    public static void Install()
    {
        if (Interlocked.Exchange(ref installed, 1) == 0)
        {
            ExceptionHandling.SetUnhandledExceptionHandler(Caught);
        }
    }

    private static bool Caught(Exception exception)
    {
        if (CellContext.Current is not { } cell)
        {
            return false;
        }

        if (!(cell.CancellationToken.IsCancellationRequested && exception is OperationCanceledException or ThreadInterruptedException))
        {
            var error = CellErrors.OfException(exception, cell.Sources);
            cell.Output.Write(OutputStream.Error, $"On a thread that the cell started:\n{string.Join('\n', error.Traceback)}\n");
        }

        return true;
    }
}
