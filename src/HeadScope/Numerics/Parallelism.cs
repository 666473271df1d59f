namespace HeadScope.Numerics;

/// <summary>How many threads HeadScope's calls use. No result depends on it.</summary>
public static class Parallelism
{
    [ThreadStatic]
    private static bool insideWorker;

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
        }
    }

    /// <summary>
    /// Calls <paramref name="body"/> for 0 .. <paramref name="count"/> - 1, several at a time. A call from inside a body runs on its
    /// own thread alone, so nesting never takes more threads than <see cref="Threads"/>.
    /// </summary>
    /// <param name="count">How many calls.</param>
    /// <param name="body">What to do with each index; must not depend on the order.</param>
    /// <param name="cancellationToken">Stops between two calls.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static void For(int count, Action<int> body, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (count <= 1 || insideWorker || threads == 1)
        {
            for (var i = 0; i < count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                body(i);
            }

            return;
        }

        var options = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken };
        Parallel.For(0, count, options, i =>
        {
            insideWorker = true;
            try
            {
                body(i);
            }
            finally
            {
                insideWorker = false;
            }
        });
    }
}
