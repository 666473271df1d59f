namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>A ROUTER: every peer can send requests, and each answer goes to the peer that asked.</summary>
/// <param name="endpoint">Where to listen.</param>
/// <param name="received">Called with the peer, which takes the answer, and the message.</param>
internal sealed class ZmtpRouter(ZmtpEndpoint endpoint, Func<ZmtpConnection, List<byte[]>, ValueTask> received)
    : ZmtpServer(endpoint, "ROUTER", "DEALER", "REQ", "ROUTER")
{
    /// <summary>Sends to a peer of this socket that has the same name as one of another socket. Nothing happens when there is none.</summary>
    /// <param name="name">The name.</param>
    /// <param name="frames">The message.</param>
    public void SendTo(ReadOnlyMemory<byte> name, IReadOnlyList<byte[]> frames) =>
        Connections.FirstOrDefault(c => name.Span.SequenceEqual(c.Identity))?.Send(frames);

    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames) => received(from, frames);
}

/// <summary>A PUB: sends every message to those who subscribed to the beginning of its first frame.</summary>
/// <param name="endpoint">Where to listen.</param>
internal sealed class ZmtpPublisher(ZmtpEndpoint endpoint) : ZmtpServer(endpoint, "PUB", "SUB", "XSUB")
{
    /// <summary>Sends to all that want it.</summary>
    /// <param name="frames">The topic, then the message.</param>
    public void Send(IReadOnlyList<byte[]> frames)
    {
        foreach (var connection in Connections)
        {
            if (connection.Wants(frames[0]))
            {
                connection.Send(frames);
            }
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
internal sealed class ZmtpEcho(ZmtpEndpoint endpoint) : ZmtpServer(endpoint, "REP", "REQ", "DEALER")
{
    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames)
    {
        from.Send(frames);
        return ValueTask.CompletedTask;
    }
}
