using System.Collections.Concurrent;
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
    private readonly string socketType;
    private readonly string[] peerTypes;
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentDictionary<ZmtpConnection, Task> connections = new();
    private Task accepting = Task.CompletedTask;

    protected ZmtpServer(ZmtpEndpoint endpoint, string socketType, params string[] peerTypes)
    {
        this.endpoint = endpoint;
        this.socketType = socketType;
        this.peerTypes = peerTypes;
        listener = endpoint.Listen();
    }

    /// <summary>The peers at present.</summary>
    protected IEnumerable<ZmtpConnection> Connections => connections.Keys;

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
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync(stopping.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // The peer was gone before it was accepted, or files have run out for the moment.
                await Task.Delay(50);
                continue;
            }

            _ = ServeAsync(socket);
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        var ended = new TaskCompletionSource();
        ZmtpConnection? connection = null;
        try
        {
            if (socket.ProtocolType == ProtocolType.Tcp)
            {
                socket.NoDelay = true;
            }

            await using var network = new NetworkStream(socket, ownsSocket: true);
            await using var stream = new BufferedReads(network);
            byte[] identity;
            using (var limit = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token))
            {
                limit.CancelAfter(ZmtpLimits.LongestHandshake);
                identity = await ZmtpHandshake.RunAsync(stream, socketType, peerTypes, limit.Token);
            }

            connection = new ZmtpConnection(stream, identity);
            connections[connection] = ended.Task;
            var from = connection;
            await connection.RunAsync(frames => ReceivedAsync(from, frames), stopping.Token);
        }
        catch (Exception exception) when (exception is IOException or InvalidDataException or SocketException
            or OperationCanceledException or ObjectDisposedException)
        {
            // The peer is gone or not one of ours.
        }
        finally
        {
            if (connection is not null)
            {
                connections.TryRemove(connection, out _);
                connection.Dispose();
            }

            ended.SetResult();
        }
    }
}
