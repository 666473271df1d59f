using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>One peer: reads its messages, answers its pings, keeps its subscriptions, and writes to it from a bounded queue.</summary>
internal sealed class ZmtpConnection : IDisposable
{
    private readonly Stream stream;
    private readonly Channel<byte[]> outgoing = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true });
    private readonly List<byte[]> subscriptions = [];
    private readonly CancellationTokenSource closing = new();
    private readonly object queueGate = new();
    private long queued;

    public ZmtpConnection(Stream stream, byte[] identity)
    {
        this.stream = stream;
        Identity = identity;
    }

    /// <summary>The name that the peer gave itself; empty for none.</summary>
    public byte[] Identity { get; }

    /// <summary>Reads messages until the peer goes away, and writes what is queued meanwhile.</summary>
    /// <param name="received">Called with each message's frames, one after another.</param>
    /// <param name="cancellationToken">Closes the connection.</param>
    /// <exception cref="InvalidDataException">The peer broke the protocol.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public async Task RunAsync(Func<List<byte[]>, ValueTask> received, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, closing.Token);
        var writing = WriteQueuedAsync(stop.Token);
        try
        {
            while (true)
            {
                await received(await ReadMessageAsync(stop.Token));
            }
        }
        finally
        {
            outgoing.Writer.TryComplete();
            await closing.CancelAsync();
            await writing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Queues a message. Waits while the peer has too much unread; one that never reads is dropped.</summary>
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

    private async ValueTask<List<byte[]>> ReadMessageAsync(CancellationToken cancellationToken)
    {
        var frames = new List<byte[]>();
        var left = ZmtpLimits.MessageBytes;
        while (true)
        {
            var frame = await ZmtpFrame.ReadAsync(stream, left, cancellationToken);
            if (frame.IsCommand)
            {
                if (frames.Count > 0)
                {
                    throw new InvalidDataException("A command stands in the middle of a message.");
                }

                Obey(frame.Body);
                continue;
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

    private void Queue(byte[] bytes)
    {
        lock (queueGate)
        {
            var until = Environment.TickCount64 + (long)ZmtpLimits.LongestWait.TotalMilliseconds;
            while (queued > ZmtpLimits.QueuedBytes && !closing.IsCancellationRequested)
            {
                var left = until - Environment.TickCount64;
                if (left <= 0)
                {
                    closing.Cancel();
                    return;
                }

                Monitor.Wait(queueGate, (int)left);
            }

            queued += bytes.Length;
        }

        outgoing.Writer.TryWrite(bytes);
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
