namespace HeadScope.Tests;

public class ParallelismTests
{
    [Fact]
    public void Every_index_comes_exactly_once_also_when_loops_nest_and_run_side_by_side()
    {
        Parallel.For(0, 8, _ =>
        {
            for (var round = 0; round < 200; round++)
            {
                var counts = new int[17];
                Parallelism.For(counts.Length, i =>
                {
                    var inner = new int[5];
                    Parallelism.For(inner.Length, j => inner[j]++);
                    Assert.All(inner, count => Assert.Equal(1, count));
                    Interlocked.Increment(ref counts[i]);
                });
                Assert.All(counts, count => Assert.Equal(1, count));
            }
        });
    }

    [Fact]
    public void An_inner_loop_stays_on_its_thread()
    {
        Parallelism.For(8, _ =>
        {
            var thread = Environment.CurrentManagedThreadId;
            Parallelism.For(8, _ => Assert.Equal(thread, Environment.CurrentManagedThreadId));
        });
    }

    [Fact]
    public void An_exception_of_a_body_reaches_the_caller_and_the_next_loop_works()
    {
        for (var round = 0; round < 100; round++)
        {
            var error = Assert.Throws<InvalidOperationException>(() =>
                Parallelism.For(50, i => { if (i == 7) { throw new InvalidOperationException("seven"); } }));
            Assert.Equal("seven", error.Message);
            var sum = 0;
            Parallelism.For(50, i => Interlocked.Add(ref sum, i));
            Assert.Equal(49 * 50 / 2, sum);
        }
    }

    [Fact]
    public void Cancelling_stops_between_two_calls()
    {
        using var source = new CancellationTokenSource();
        var calls = 0;
        Assert.ThrowsAny<OperationCanceledException>(() => Parallelism.For(
            1000,
            i =>
            {
                Interlocked.Increment(ref calls);
                source.Cancel();
            },
            source.Token));
        Assert.InRange(calls, 1, 999);
    }

    [Fact]
    public void Threads_must_be_at_least_one() => Assert.Throws<ArgumentOutOfRangeException>(() => Parallelism.Threads = 0);
}
