namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>How much one peer may send or leave unread, so that none can exhaust the memory, the files or the time of the kernel.</summary>
internal static class ZmtpLimits
{
    /// <summary>Bytes of one message, all its frames together. Cells with pictures in them come to a few megabytes.</summary>
    public const long MessageBytes = 64L << 20;

    /// <summary>Bytes of a message where none is long: subscriptions, heartbeats, interrupts, typed lines.</summary>
    public const long ShortMessageBytes = 1L << 20;

    /// <summary>Bytes of a message that count as none towards what all peers of a socket may have sent unfinished, which is twice one message.</summary>
    public const long FreeBytes = 1L << 18;

    /// <summary>Frames of one message; a Jupyter message has seven and its buffers.</summary>
    public const int MessageFrames = 1024;

    /// <summary>Bytes of one command; the longest regular one names a socket's type and identity.</summary>
    public const int CommandBytes = 1 << 16;

    /// <summary>Subscriptions of one peer.</summary>
    public const int Subscriptions = 1024;

    /// <summary>Bytes waiting to be read by one peer. Beyond them who writes waits as long as the peer has earned, and then goes on without it.</summary>
    public const long QueuedBytes = 64L << 20;

    /// <summary>Bytes of a message that is queued even then, up to twice as many: that a cell has ended is not lost among much output.</summary>
    public const int ShortBytes = 1 << 12;

    /// <summary>Bytes that a peer has to read for each millisecond that others wait for it, which are never more than a thousand at once.</summary>
    public const int BytesPerMillisecond = 2000;

    /// <summary>Milliseconds that others wait at most for a peer that no longer reads.</summary>
    public const long LongestWait = 1000;

    /// <summary>Peers of one socket that have not said yet what they are; the oldest goes when there are more.</summary>
    public const int Strangers = 16;

    /// <summary>Peers of one socket. A client has one connection to each.</summary>
    public const int Peers = 32;

    /// <summary>How long a peer may take over the handshake.</summary>
    public static readonly TimeSpan LongestHandshake = TimeSpan.FromSeconds(30);

    /// <summary>How long a message may take from its first byte to its last.</summary>
    public static readonly TimeSpan LongestArrival = TimeSpan.FromSeconds(60);
}
