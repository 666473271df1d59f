namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>How much one peer may send or leave unread, so that none can exhaust the memory of the kernel.</summary>
internal static class ZmtpLimits
{
    /// <summary>Bytes of one message, all its frames together. Cells with pictures in them come to a few megabytes.</summary>
    public const long MessageBytes = 256L << 20;

    /// <summary>Frames of one message; a Jupyter message has seven and its buffers.</summary>
    public const int MessageFrames = 1024;

    /// <summary>Bytes of one command; the longest regular one names a socket's type and identity.</summary>
    public const int CommandBytes = 1 << 16;

    /// <summary>Subscriptions of one peer.</summary>
    public const int Subscriptions = 1024;

    /// <summary>Bytes waiting to be read by one peer before those who write have to wait for it.</summary>
    public const long QueuedBytes = 64L << 20;

    /// <summary>How long to wait for a peer that does not read before it is dropped.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(20);

    /// <summary>How long a peer may take over the handshake.</summary>
    public static readonly TimeSpan LongestHandshake = TimeSpan.FromSeconds(30);
}
