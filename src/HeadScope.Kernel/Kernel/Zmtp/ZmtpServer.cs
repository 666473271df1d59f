using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net.Sockets;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>
/// A listening ZeroMQ socket of one of the three kinds that a kernel needs. A peer that breaks the protocol loses its connection and
/// disturbs nobody else.
/// </summary>
internal abstract class ZmtpServer : IAsyncDisposable
{
    private readonly ZmtpEndpoint endpoint;
    private readonly Socket listener;
    private readonly long longest;
    private readonly string socketType;
    private readonly string[] peerTypes;
    private readonly UnfinishedBytes unfinished;
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentDictionary<ZmtpConnection, Task> connections = new();
    private readonly LinkedList<Socket> strangers = new();
    private Task accepting = Task.CompletedTask;
    private long numbers;

    protected ZmtpServer(ZmtpEndpoint endpoint, long longest, string socketType, params string[] peerTypes)
    {
        this.endpoint = endpoint;
        this.longest = longest;
        this.socketType = socketType;
        this.peerTypes = peerTypes;
        unfinished = new UnfinishedBytes(2 * longest);
        listener = endpoint.Listen();
    }

    /// <summary>The peers at present, in the order in which they came.</summary>
    protected IEnumerable<ZmtpConnection> Connections => connections.Keys.OrderBy(c => c.Number);

    /// <summary>Starts to accept peers.</summary>
    public void Start() => accepting = AcceptAsync();

    /// <summary>Waits until everything sent so far has been handed to the network.</summary>
    /// <param name="longest">How long to wait at most for each peer.</param>
    public void Flush(TimeSpan longest)
    {
        foreach (var connection in Connections)
        {
            connection.Flush(longest);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        listener.Dispose();
        endpoint.Remove();
        await accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.WhenAll(connections.Values).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stopping.Dispose();
    }

    /// <summary>A message has come.</summary>
    /// <param name="from">The peer that sent it.</param>
    /// <param name="frames">Its frames.</param>
    protected abstract ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames);

    private async Task AcceptAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                _ = ServeAsync(await listener.AcceptAsync(stopping.Token));
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // The peer was gone before it was accepted, or files have run out for the moment.
                await Task.Delay(50);
            }
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        var ended = new TaskCompletionSource();
        ZmtpConnection? connection = null;
        var stranger = Welcome(socket);
        try
        {
            if (socket.ProtocolType == ProtocolType.Tcp)
            {
                socket.NoDelay = true;
            }

            await using var stream = new NetworkStream(socket, ownsSocket: true);
            var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 1 << 16, leaveOpen: true));
            byte[] identity;
            using (var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token))
            {
                limit.CancelAfter(ZmtpLimits.LongestHandshake);
                identity = await ZmtpHandshake.RunAsync(stream, reader, socketType, peerTypes, limit.Token);
            }

            if (connections.Count >= ZmtpLimits.Peers)
            {
                throw new InvalidDataException(FormattableString.Invariant($"More than {ZmtpLimits.Peers} peers."));
            }

            var known = connection = new ZmtpConnection(stream, reader, identity, Interlocked.Increment(ref numbers));
            connections[known] = ended.Task;
            Forget(stranger);
            await known.RunAsync(longest, unfinished, frames => ReceivedAsync(known, frames), stopping.Token);
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException or SocketException
            or OperationCanceledException or ObjectDisposedException)
        {
            // The peer is gone or not one of ours.
        }
        finally
        {
            Forget(stranger);
            socket.Dispose();
            if (connection is not null)
            {
                connections.TryRemove(connection, out _);
                connection.Dispose();
            }

            ended.SetResult();
        }
    }

    private LinkedListNode<Socket> Welcome(Socket socket)
    {
        lock (strangers)
        {
            if (strangers.Count == ZmtpLimits.Strangers)
            {
                strangers.First!.Value.Dispose();
                strangers.RemoveFirst();
            }

            return strangers.AddLast(socket);
        }
    }

    private void Forget(LinkedListNode<Socket> stranger)
    {
        lock (strangers)
        {
            if (stranger.List is not null)
            {
                strangers.Remove(stranger);
            }
        }
    }
}

/// <summary>A ROUTER: every peer can send requests, and each answer goes to the peer that asked.</summary>
/// <param name="endpoint">Where to listen.</param>
/// <param name="longest">The most bytes of one message.</param>
/// <param name="received">Called with the peer, which takes the answer, and the message.</param>
internal sealed class ZmtpRouter(ZmtpEndpoint endpoint, long longest, Func<ZmtpConnection, List<byte[]>, ValueTask> received)
    : ZmtpServer(endpoint, longest, "ROUTER", "DEALER", "REQ", "ROUTER")
{
    /// <summary>
    /// The peer of this socket that belongs to one of another socket: of the same name, and at the same place among those of the name. Clients may
    /// share a name; who takes a name that another has takes none of its messages.
    /// </summary>
    /// <param name="other">The other socket.</param>
    /// <param name="peer">The peer there.</param>
    /// <returns>Null when there is none.</returns>
    public ZmtpConnection? Counterpart(ZmtpRouter other, ZmtpConnection peer)
    {
        var place = other.Named(peer.Identity).TakeWhile(c => c != peer).Count();
        var here = Named(peer.Identity).ToList();
        return here.Count == 0 ? null : here[Math.Min(place, here.Count - 1)];
    }

    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames) => received(from, frames);

    private IEnumerable<ZmtpConnection> Named(byte[] name) => Connections.Where(c => name.AsSpan().SequenceEqual(c.Identity));
}

/// <summary>A PUB: sends every message to those who subscribed to the beginning of its first frame.</summary>
/// <param name="endpoint">Where to listen.</param>
internal sealed class ZmtpPublisher(ZmtpEndpoint endpoint) : ZmtpServer(endpoint, ZmtpLimits.ShortMessageBytes, "PUB", "SUB", "XSUB")
{
    /// <summary>Sends to all that want it.</summary>
    /// <param name="frames">The topic, then the message.</param>
    public void Send(IReadOnlyList<byte[]> frames)
    {
        var bytes = ZmtpFrame.Message(frames);
        foreach (var connection in Connections.Where(c => c.Wants(frames[0])))
        {
            connection.Queue(bytes);
        }
    }

    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames)
    {
        from.Subscribe(frames.Count == 1 ? frames[0] : []);
        return ValueTask.CompletedTask;
    }
}

/// <summary>A REP that sends back what it got: the heartbeat by which a client sees that the kernel lives.</summary>
/// <param name="endpoint">Where to listen.</param>
internal sealed class ZmtpEcho(ZmtpEndpoint endpoint) : ZmtpServer(endpoint, ZmtpLimits.ShortMessageBytes, "REP", "REQ", "DEALER")
{
    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames)
    {
        from.Send(frames);
        return ValueTask.CompletedTask;
    }
}
