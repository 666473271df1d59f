namespace HeadScope.Tests;

public class ParallelismTests
{
    [Fact]
    public void Every_index_comes_exactly_once()
    {
        for (var round = 0; round < 200; round++)
        {
            var counts = new int[17];
            Parallelism.For(counts.Length, i => Interlocked.Increment(ref counts[i]));
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void An_exception_of_a_body_reaches_the_caller_as_it_is()
    {
        var error = Assert.Throws<InvalidOperationException>(() =>
            Parallelism.For(50, i => { if (i == 7) { throw new InvalidOperationException("seven"); } }));
        Assert.Equal("seven", error.Message);
    }

    [Fact]
    public void Cancelling_stops_between_two_calls()
    {
        using var source = new CancellationTokenSource();
        var calls = 0;
        void Cancel(int index)
        {
            Interlocked.Increment(ref calls);
            source.Cancel();

            // On a busy machine another thread may go on for a while before the loop hears of it.
            Thread.Sleep(1);
        }

        Assert.ThrowsAny<OperationCanceledException>(() => Parallelism.For(1000, Cancel, source.Token));
        Assert.InRange(calls, 1, 999);
        calls = 0;
        using var outer = AmbientWork.Enter(progress: null, source.Token);
        Assert.ThrowsAny<OperationCanceledException>(() => Parallelism.For(1000, Cancel));
        Assert.Equal(0, calls);
    }

    [Fact]
    public void Threads_must_be_at_least_one() => Assert.Throws<ArgumentOutOfRangeException>(() => Parallelism.Threads = 0);

    [Fact]
    public void What_surrounds_all_calls_counts_where_nothing_else_does()
    {
        var (everywhere, here) = (new Progress<WorkProgress>(), new Progress<WorkProgress>());
        AmbientWork.Outermost = () => (everywhere, CancellationToken.None);
        try
        {
            Assert.Same(everywhere, AmbientWork.Or(null, default).Progress);
            Assert.Same(here, AmbientWork.Or(here, default).Progress);
            using var quiet = AmbientWork.Enter(progress: null, CancellationToken.None);
            Assert.Null(AmbientWork.Or(null, default).Progress);
        }
        finally
        {
            AmbientWork.Outermost = null;
        }
    }
}
