namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>A ROUTER: every peer can send requests, and each answer goes to the peer that it names in its first frame.</summary>
/// <param name="endpoint">Where to listen.</param>
/// <param name="received">Called with the peer's identity as first frame and the message after it.</param>
internal sealed class ZmtpRouter(ZmtpEndpoint endpoint, Func<List<byte[]>, ValueTask> received)
    : ZmtpServer(endpoint, "ROUTER", "DEALER", "REQ", "ROUTER")
{
    /// <summary>Sends to one peer.</summary>
    /// <param name="frames">The peer's identity, then the message. Nothing happens when the peer is gone.</param>
    public void Send(IReadOnlyList<byte[]> frames) =>
        Connections.FirstOrDefault(c => c.Identity.AsSpan().SequenceEqual(frames[0]))?.Send([.. frames.Skip(1)]);

    protected override ValueTask ReceivedAsync(ZmtpConnection from, List<byte[]> frames)
    {
        frames.Insert(0, from.Identity);
        return received(frames);
    }

    protected override bool Replaces(ZmtpConnection newer, ZmtpConnection earlier) =>
        newer.Identity.AsSpan().SequenceEqual(earlier.Identity);
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
