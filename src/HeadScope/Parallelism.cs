using System.Runtime.ExceptionServices;

namespace HeadScope;

/// <summary>How many threads HeadScope's calls use, torch's operations included.</summary>
public static class Parallelism
{
    private static int threads = Environment.ProcessorCount;

    /// <summary>The largest number of threads of one call; from the start the number of processors.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number is below 1.</exception>
    public static int Threads
    {
        get => threads;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            threads = value;
            LibTorch.SetThreads(value);
        }
    }

    /// <summary>Calls <paramref name="body"/> for 0 .. <paramref name="count"/> - 1, several at a time.</summary>
    /// <param name="count">How many calls.</param>
    /// <param name="body">What to do with each index; must not depend on the order. The first exception that it throws ends the loop.</param>
    /// <param name="cancellationToken">Stops between two calls; by default that of the surrounding cell or command.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    internal static void For(int count, Action<int> body, CancellationToken cancellationToken = default)
    {
        (_, cancellationToken) = AmbientWork.Or(null, cancellationToken);
        try
        {
            Parallel.For(0, count, new() { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken }, body);
        }
        catch (AggregateException failures)
        {
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }
    }
}
