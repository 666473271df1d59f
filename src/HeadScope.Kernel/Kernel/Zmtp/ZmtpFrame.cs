using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>
/// One frame of ZMTP 3.x (ZeroMQ RFC 23 and 37): a flag byte, the length in one byte or, for long frames, in eight, and the body.
/// </summary>
/// <param name="Body">The content.</param>
/// <param name="More">Whether more frames of the same message follow.</param>
/// <param name="IsCommand">Whether it is a command of the protocol rather than a part of a message.</param>
internal readonly record struct ZmtpFrame(byte[] Body, bool More, bool IsCommand)
{
    private const byte MoreFlag = 1;
    private const byte LongFlag = 2;
    private const byte CommandFlag = 4;

    /// <summary>Reads the next frame.</summary>
    /// <param name="reader">The connection.</param>
    /// <param name="longest">The most bytes that the body may have.</param>
    /// <param name="arrived">Told of the bytes of the body as they arrive; null for nobody.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="InvalidDataException">It is not a frame, or too long.</exception>
    /// <exception cref="EndOfStreamException">The peer is gone.</exception>
    public static async ValueTask<ZmtpFrame> ReadAsync(PipeReader reader, long longest, Action<int>? arrived, CancellationToken cancellationToken)
    {
        var head = await BytesAsync(reader, 2, null, cancellationToken);
        var flags = head[0];
        if ((flags & ~(MoreFlag | LongFlag | CommandFlag)) != 0 || (flags & (MoreFlag | CommandFlag)) == (MoreFlag | CommandFlag))
        {
            throw new InvalidDataException($"Frame flags 0x{flags:x2} are not those of ZMTP 3.");
        }

        ulong length = head[1];
        if ((flags & LongFlag) != 0)
        {
            length = BinaryPrimitives.ReadUInt64BigEndian([head[1], .. await BytesAsync(reader, 7, null, cancellationToken)]);
        }

        var most = (flags & CommandFlag) != 0 ? Math.Min(longest, ZmtpLimits.CommandBytes) : longest;
        if (length > (ulong)most)
        {
            throw new InvalidDataException(FormattableString.Invariant($"A frame of {length} bytes is longer than the {most} allowed."));
        }

        return new ZmtpFrame(await BytesAsync(reader, (int)length, arrived, cancellationToken), (flags & MoreFlag) != 0, (flags & CommandFlag) != 0);
    }

    /// <summary>Reads so many bytes. The length that a peer announces is a claim: memory is taken as the bytes arrive.</summary>
    /// <param name="reader">The connection.</param>
    /// <param name="count">How many.</param>
    /// <param name="arrived">Told how many have come, each time; null for nobody.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="EndOfStreamException">The peer is gone.</exception>
    public static async ValueTask<byte[]> BytesAsync(PipeReader reader, int count, Action<int>? arrived, CancellationToken cancellationToken)
    {
        var bytes = new byte[Math.Min(count, 1 << 16)];
        for (var have = 0; have < count;)
        {
            var read = await reader.ReadAsync(cancellationToken);
            if (read.Buffer.IsEmpty && read.IsCompleted)
            {
                throw new EndOfStreamException("The peer is gone.");
            }

            var part = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, count - have));
            var length = (int)part.Length;
            arrived?.Invoke(length);
            if (have + length > bytes.Length)
            {
                Array.Resize(ref bytes, (int)Math.Min(count, Math.Max(have + length, bytes.Length * 2L)));
            }

            part.CopyTo(bytes.AsSpan(have));
            have += length;
            reader.AdvanceTo(part.End);
        }

        return bytes;
    }

    /// <summary>The frame as bytes.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[HeadBytes + Body.Length];
        Write(bytes);
        return bytes;
    }

    /// <summary>A message of several frames as bytes.</summary>
    /// <param name="frames">Its parts.</param>
    public static byte[] Message(IReadOnlyList<byte[]> frames)
    {
        var parts = frames.Select((body, i) => new ZmtpFrame(body, i < frames.Count - 1, IsCommand: false)).ToArray();
        var bytes = new byte[parts.Sum(p => p.HeadBytes + p.Body.Length)];
        var at = 0;
        foreach (var part in parts)
        {
            at += part.Write(bytes.AsSpan(at));
        }

        return bytes;
    }

    private int HeadBytes => Body.Length > byte.MaxValue ? 9 : 2;

    private int Write(Span<byte> bytes)
    {
        var flags = (byte)((More ? MoreFlag : 0) | (IsCommand ? CommandFlag : 0));
        if (HeadBytes == 2)
        {
            bytes[0] = flags;
            bytes[1] = (byte)Body.Length;
        }
        else
        {
            bytes[0] = (byte)(flags | LongFlag);
            BinaryPrimitives.WriteUInt64BigEndian(bytes[1..], (ulong)Body.Length);
        }

        Body.CopyTo(bytes[HeadBytes..]);
        return HeadBytes + Body.Length;
    }
}
