namespace HeadScope.Tests;

/// <summary>Runs the same work with several numbers of threads.</summary>
internal static class ThreadsUnderTest
{
    /// <summary>The results of the work with each number of threads; afterwards the number is as before.</summary>
    public static T[] With<T>(int[] threads, Func<T> work)
    {
        var before = Parallelism.Threads;
        try
        {
            return
            [
                .. threads.Select(count =>
                {
                    Parallelism.Threads = count;
                    return work();
                }),
            ];
        }
        finally
        {
            Parallelism.Threads = before;
        }
    }
}
