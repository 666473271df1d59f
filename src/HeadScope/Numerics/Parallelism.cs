using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace HeadScope;

/// <summary>How many threads HeadScope's calls use. No result depends on it.</summary>
public static class Parallelism
{
    [ThreadStatic]
    private static bool insideBody;

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

    /// <summary>
    /// Calls <paramref name="body"/> for 0 .. <paramref name="count"/> - 1, several at a time. A call from inside a body runs on its
    /// own thread alone, so nesting never takes more threads than <see cref="Threads"/>.
    /// </summary>
    /// <param name="count">How many calls.</param>
    /// <param name="body">What to do with each index; must not depend on the order. The first exception it throws ends the loop.</param>
    /// <param name="cancellationToken">Stops between two calls; by default that of the surrounding cell or command.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static void For(int count, Action<int> body, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (!cancellationToken.CanBeCanceled)
        {
            cancellationToken = AmbientWork.CancellationToken;
        }

        if (WorkersFor(count) == 1)
        {
            for (var i = 0; i < count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                body(i);
            }

            return;
        }

        Loop.Run(count, body, cancellationToken);
    }

    /// <summary>
    /// The same without an allocation, for the kernels: the body is a function and what it works on.
    /// </summary>
    internal static unsafe void For(int count, delegate*<void*, int, void> body, void* state)
    {
        if (WorkersFor(count) == 1)
        {
            for (var i = 0; i < count; i++)
            {
                body(state, i);
            }

            return;
        }

        Loop.Run(count, body, state);
    }

    /// <summary>How many threads a loop over so many indices would use here and now.</summary>
    internal static int WorkersFor(int count) => insideBody ? 1 : Math.Clamp(count, 1, threads);

    /// <summary>
    /// One loop shared by the calling thread and helpers. Everyone takes the next index until none is left; the caller then waits only
    /// for helpers that are inside a body, so helpers that are busy with another caller's loop delay nothing.
    /// </summary>
    private sealed unsafe class Loop
    {
        private static readonly ConcurrentQueue<Loop> Unused = new();

        private Action<int>? action;
        private delegate*<void*, int, void> function;
        private void* state;
        private CancellationToken cancellationToken;
        private int count;
        private int next;
        private int running;    // helpers that may be inside a body
        private int references; // the caller and helpers still queued or running; at 0 the object is free for the next loop
        private Exception? exception;

        public static void Run(int count, Action<int> body, CancellationToken cancellationToken)
        {
            var loop = Take();
            loop.action = body;
            loop.cancellationToken = cancellationToken;
            loop.RunShared(count);
        }

        public static void Run(int count, delegate*<void*, int, void> body, void* state)
        {
            var loop = Take();
            loop.function = body;
            loop.state = state;
            loop.RunShared(count);
        }

        /// <summary>A helper's part.</summary>
        public void Execute()
        {
            // Announce first, look second: the caller closes the loop first and looks at the announcements second.
            Interlocked.Increment(ref running);
            Work();
            Interlocked.Decrement(ref running);
            Release();
        }

        private static Loop Take() => Unused.TryDequeue(out var loop) ? loop : new Loop();

        private void RunShared(int indices)
        {
            var helpers = WorkersFor(indices) - 1;
            count = indices;
            references = helpers + 1;
            exception = null;
            Volatile.Write(ref next, 0);
            try
            {
                Helpers.Ask(this, helpers);

                Work();
            }
            finally
            {
                // Helpers work on the caller's memory. A notebook aborts a cell that does not stop when asked, but never inside of finally.
                Interlocked.Exchange(ref next, count);
                var wait = default(SpinWait);
                while (Volatile.Read(ref running) != 0)
                {
                    wait.SpinOnce(sleep1Threshold: -1);
                }
            }

            var failure = exception;
            Release();
            if (failure is not null)
            {
                ExceptionDispatchInfo.Throw(failure);
            }
        }

        private void Work()
        {
            insideBody = true;
            try
            {
                for (var i = Interlocked.Increment(ref next) - 1; i < count; i = Interlocked.Increment(ref next) - 1)
                {
                    if (action is not null)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        action(i);
                    }
                    else
                    {
                        function(state, i);
                    }
                }
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref exception, error, null);
                Interlocked.Exchange(ref next, count);
            }
            finally
            {
                insideBody = false;
            }
        }

        private void Release()
        {
            if (Interlocked.Decrement(ref references) == 0)
            {
                action = null;
                state = null;
                cancellationToken = default;
                exception = null;
                Unused.Enqueue(this);
            }
        }
    }

    /// <summary>
    /// The threads that help with loops, as many as some loop has wanted. The thread pool's would do the same work, but it wakes more of
    /// them than there are processors, and those that find nothing to do spin on the processors that a matrix product needs.
    /// </summary>
    private static class Helpers
    {
        private static readonly ConcurrentQueue<Loop> Wanted = new();
        private static readonly SemaphoreSlim Waiting = new(0);
        private static readonly Lock Creation = new();
        private static int created;

        public static void Ask(Loop loop, int count)
        {
            if (created < count)
            {
                Create(count);
            }

            for (var i = 0; i < count; i++)
            {
                Wanted.Enqueue(loop);
            }

            Waiting.Release(count);
        }

        private static void Create(int count)
        {
            lock (Creation)
            {
                for (; created < count; created++)
                {
                    new Thread(Help) { IsBackground = true, Name = $"HeadScope {created + 1}" }.UnsafeStart();
                }
            }
        }

        private static void Help()
        {
            while (true)
            {
                Waiting.Wait();
                if (Wanted.TryDequeue(out var loop))
                {
                    loop.Execute();
                }
            }
        }
    }
}
