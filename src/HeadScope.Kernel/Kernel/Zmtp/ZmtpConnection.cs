using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>One peer: reads its messages, answers its pings, keeps its subscriptions, and writes to it from a bounded queue.</summary>
/// <param name="stream">The connection, to write.</param>
/// <param name="reader">The same, to read.</param>
/// <param name="identity">The name that the peer gave itself; empty for none.</param>
/// <param name="number">How many peers the socket had before this one.</param>
internal sealed class ZmtpConnection(Stream stream, PipeReader reader, byte[] identity, long number) : IDisposable
{
    private readonly Channel<byte[]> outgoing = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true });
    private readonly List<byte[]> subscriptions = [];
    private readonly CancellationTokenSource closing = new();
    private readonly object queueGate = new();
    private long queued;
    private long patience;

    /// <summary>The name that the peer gave itself; empty for none.</summary>
    public byte[] Identity => identity;

    /// <summary>Where the peer stands in the order in which the socket's peers came.</summary>
    public long Number => number;

    /// <summary>Reads messages until the peer goes away, and writes what is queued meanwhile.</summary>
    /// <param name="longest">The most bytes of one message.</param>
    /// <param name="unfinished">What the peers of the socket have sent of messages that are not whole.</param>
    /// <param name="received">Called with each message's frames, one after another.</param>
    /// <param name="cancellationToken">Closes the connection.</param>
    /// <exception cref="InvalidDataException">The peer broke the protocol.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public async Task RunAsync(long longest, UnfinishedBytes unfinished, Func<List<byte[]>, ValueTask> received, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, closing.Token);
        using var arrival = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        var writing = WriteQueuedAsync(stop.Token);
        try
        {
            while (true)
            {
                var start = await reader.ReadAsync(stop.Token);
                reader.AdvanceTo(start.Buffer.Start);
                arrival.CancelAfter(ZmtpLimits.LongestArrival);
                var message = await ReadMessageAsync(longest, unfinished, arrival.Token);
                arrival.CancelAfter(Timeout.InfiniteTimeSpan);
                if (message.Count > 0)
                {
                    await received(message);
                }
            }
        }
        finally
        {
            outgoing.Writer.TryComplete();
            await closing.CancelAsync();
            await writing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Queues a message. Waits as long as the peer has earned while it has too much unread; then it goes without the message.</summary>
    /// <param name="frames">The message.</param>
    public void Send(IReadOnlyList<byte[]> frames) => Queue(ZmtpFrame.Message(frames));

    /// <summary>Whether the peer has subscribed to messages that start so.</summary>
    /// <param name="topic">The first frame of a message.</param>
    public bool Wants(ReadOnlySpan<byte> topic)
    {
        lock (subscriptions)
        {
            foreach (var prefix in subscriptions)
            {
                if (topic.StartsWith(prefix))
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Takes a subscription or its end as sent in a message, the way of ZMTP 3.0: 1 or 0, and the topic.</summary>
    /// <param name="body">The message's only frame.</param>
    /// <exception cref="InvalidDataException">It is neither, or one too many.</exception>
    public void Subscribe(byte[] body)
    {
        if (body.Length == 0 || body[0] > 1)
        {
            throw new InvalidDataException("A subscriber may only send subscriptions.");
        }

        Subscribe(body.AsSpan(1), add: body[0] == 1);
    }

    public void Dispose()
    {
        outgoing.Writer.TryComplete();
        closing.Cancel();
        stream.Dispose();
        lock (queueGate)
        {
            Monitor.PulseAll(queueGate);
        }
    }

    // A message; none, when a command came instead.
    private async ValueTask<List<byte[]>> ReadMessageAsync(long longest, UnfinishedBytes unfinished, CancellationToken cancellationToken)
    {
        var frames = new List<byte[]>();
        var left = longest;
        long arrived = 0, held = 0;
        void Arrived(int bytes)
        {
            arrived += bytes;
            if (arrived - ZmtpLimits.FreeBytes - held is > 0 and var more)
            {
                held += more;
                unfinished.Add(more);
            }
        }

        try
        {
            while (true)
            {
                var frame = await ZmtpFrame.ReadAsync(reader, left, Arrived, cancellationToken);
                if (frame.IsCommand)
                {
                    if (frames.Count > 0)
                    {
                        throw new InvalidDataException("A command stands in the middle of a message.");
                    }

                    Obey(frame.Body);
                    return frames;
                }

                frames.Add(frame.Body);
                left -= frame.Body.Length;
                if (!frame.More)
                {
                    return frames;
                }

                if (frames.Count == ZmtpLimits.MessageFrames)
                {
                    throw new InvalidDataException(FormattableString.Invariant($"A message has more than {ZmtpLimits.MessageFrames} frames."));
                }
            }
        }
        finally
        {
            unfinished.Remove(held);
        }
    }

    private void Obey(byte[] body)
    {
        switch (ZmtpHandshake.CommandName(body, out var data))
        {
            case "PING":
                // Two bytes of how long the peer waits, then up to 16 bytes that it wants to see again.
                if (data.Length is < 2 or > 18)
                {
                    throw new InvalidDataException("PING has the wrong length.");
                }

                Queue(ZmtpHandshake.Command("PONG", data.Span[2..]));
                break;
            case "SUBSCRIBE":
                Subscribe(data.Span, add: true);
                break;
            case "CANCEL":
                Subscribe(data.Span, add: false);
                break;
            case "ERROR":
                throw new InvalidDataException($"The peer reports: {Encoding.ASCII.GetString(data.Span[Math.Min(1, data.Length)..])}");
            default:
                // PONG, and what later versions may add.
                break;
        }
    }

    private void Subscribe(ReadOnlySpan<byte> topic, bool add)
    {
        lock (subscriptions)
        {
            if (add)
            {
                if (subscriptions.Count == ZmtpLimits.Subscriptions)
                {
                    throw new InvalidDataException(FormattableString.Invariant($"More than {ZmtpLimits.Subscriptions} subscriptions."));
                }

                subscriptions.Add(topic.ToArray());
                return;
            }

            for (var i = 0; i < subscriptions.Count; i++)
            {
                if (topic.SequenceEqual(subscriptions[i]))
                {
                    subscriptions.RemoveAt(i);
                    return;
                }
            }
        }
    }

    /// <summary>Queues a message that is encoded already.</summary>
    /// <param name="bytes">The message.</param>
    public void Queue(byte[] bytes)
    {
        lock (queueGate)
        {
            while (queued > ZmtpLimits.QueuedBytes && patience > 0 && !closing.IsCancellationRequested)
            {
                var began = Environment.TickCount64;
                Monitor.Wait(queueGate, (int)patience);
                patience -= Math.Max(1, Environment.TickCount64 - began);
            }

            if (queued <= (bytes.Length <= ZmtpLimits.ShortBytes ? 2 : 1) * ZmtpLimits.QueuedBytes && outgoing.Writer.TryWrite(bytes))
            {
                queued += bytes.Length;
            }
        }
    }

    private async Task WriteQueuedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var bytes in outgoing.Reader.ReadAllAsync(cancellationToken))
            {
                await stream.WriteAsync(bytes, cancellationToken);
                lock (queueGate)
                {
                    queued -= bytes.Length;
                    patience = Math.Min(ZmtpLimits.LongestWait, patience + (bytes.Length / ZmtpLimits.BytesPerMillisecond));
                    Monitor.PulseAll(queueGate);
                }
            }
        }
        catch (Exception exception) when (exception is IOException or SocketException or ObjectDisposedException)
        {
            await closing.CancelAsync();
        }
    }

    /// <summary>Waits until everything queued so far has been handed to the network.</summary>
    /// <param name="longest">How long to wait at most.</param>
    public void Flush(TimeSpan longest)
    {
        var until = Environment.TickCount64 + (long)longest.TotalMilliseconds;
        lock (queueGate)
        {
            while (queued > 0 && !closing.IsCancellationRequested && until - Environment.TickCount64 is > 0 and var left)
            {
                Monitor.Wait(queueGate, (int)left);
            }
        }
    }
}

/// <summary>What all peers of a socket together have sent of messages that are not whole yet, which nobody has signed so far.</summary>
/// <param name="most">How many bytes they may be.</param>
internal sealed class UnfinishedBytes(long most)
{
    private long held;

    /// <summary>More has come.</summary>
    /// <exception cref="InvalidDataException">It is too much for the moment: the peer that sent it has to go.</exception>
    public void Add(long bytes)
    {
        if (Interlocked.Add(ref held, bytes) > most)
        {
            throw new InvalidDataException("The socket's peers have sent too much of unfinished messages.");
        }
    }

    /// <summary>A message is whole, or its peer gone.</summary>
    public void Remove(long bytes) => Interlocked.Add(ref held, -bytes);
}
