using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>The opening of a ZMTP 3.x connection without encryption (the NULL mechanism): greetings, then READY commands.</summary>
internal static class ZmtpHandshake
{
    private const int GreetingBytes = 64;
    private const int SignatureBytes = 10;
    private const string Mechanism = "NULL";

    /// <summary>The 64 bytes that open a connection: signature, version 3.1, mechanism, not a server of a mechanism, filler.</summary>
    public static byte[] Greeting()
    {
        var bytes = new byte[GreetingBytes];
        bytes[0] = 0xff;
        bytes[9] = 0x7f;
        bytes[10] = 3;
        bytes[11] = 1;
        Encoding.ASCII.GetBytes(Mechanism, bytes.AsSpan(12));
        return bytes;
    }

    /// <summary>Greets the peer and learns its socket type and identity.</summary>
    /// <param name="stream">The new connection, to write.</param>
    /// <param name="reader">The same, to read.</param>
    /// <param name="socketType">Our type, such as <c>ROUTER</c>.</param>
    /// <param name="peerTypes">The types that may talk to it.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The identity that the peer gave itself; empty for none.</returns>
    /// <exception cref="InvalidDataException">The peer does not speak ZMTP 3.x, wants encryption or is of another type.</exception>
    public static async Task<byte[]> RunAsync(
        Stream stream, PipeReader reader, string socketType, IReadOnlyList<string> peerTypes, CancellationToken cancellationToken)
    {
        await stream.WriteAsync(Greeting(), cancellationToken);

        // A peer of another protocol is told from its first bytes, rather than waited for.
        var greeting = await ZmtpFrame.BytesAsync(reader, SignatureBytes + 1, null, cancellationToken);
        if (greeting[0] != 0xff || greeting[9] != 0x7f || greeting[10] < 3)
        {
            throw new InvalidDataException("The peer does not speak ZMTP 3.");
        }

        greeting = [.. greeting, .. await ZmtpFrame.BytesAsync(reader, GreetingBytes - greeting.Length, null, cancellationToken)];
        var mechanism = Encoding.ASCII.GetString(greeting.AsSpan(12, 20)).TrimEnd('\0');
        if (!mechanism.Equals(Mechanism, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"The peer wants the mechanism '{mechanism}'; Jupyter's connections use {Mechanism}.");
        }

        await stream.WriteAsync(Ready(socketType), cancellationToken);
        var frame = await ZmtpFrame.ReadAsync(reader, ZmtpLimits.CommandBytes, null, cancellationToken);
        var properties = frame.IsCommand ? Properties(frame.Body) : throw new InvalidDataException("Expected READY, found a message.");
        var peerType = Encoding.ASCII.GetString(properties.GetValueOrDefault("Socket-Type", []));
        if (!peerTypes.Contains(peerType, StringComparer.Ordinal))
        {
            await stream.WriteAsync(Command("ERROR", [.. Prefixed("Invalid socket type")]), cancellationToken);
            throw new InvalidDataException($"A {peerType} socket cannot talk to a {socketType} socket.");
        }

        var identity = properties.GetValueOrDefault("Identity", []);
        return identity.Length <= byte.MaxValue ? identity : throw new InvalidDataException("The identity is longer than 255 bytes.");
    }

    /// <summary>A command frame as bytes.</summary>
    /// <param name="name">Its name, such as <c>PONG</c>.</param>
    /// <param name="data">Its content.</param>
    public static byte[] Command(string name, ReadOnlySpan<byte> data) =>
        new ZmtpFrame([.. Prefixed(name), .. data], More: false, IsCommand: true).ToBytes();

    /// <summary>Takes a command's name off its body.</summary>
    /// <param name="body">The body of a command frame.</param>
    /// <param name="data">The rest.</param>
    /// <exception cref="InvalidDataException">The body is shorter than its name.</exception>
    public static string CommandName(byte[] body, out ReadOnlyMemory<byte> data)
    {
        if (body.Length == 0 || body.Length < 1 + body[0])
        {
            throw new InvalidDataException("A command is shorter than its name.");
        }

        data = body.AsMemory(1 + body[0]);
        return Encoding.ASCII.GetString(body.AsSpan(1, body[0]));
    }

    /// <summary>The properties of a READY command; names do not tell case apart.</summary>
    /// <param name="body">The body of the command frame.</param>
    /// <exception cref="InvalidDataException">It is another command, or cut off.</exception>
    public static Dictionary<string, byte[]> Properties(byte[] body)
    {
        var name = CommandName(body, out var rest);
        if (!name.Equals("READY", StringComparison.Ordinal))
        {
            throw new InvalidDataException($"Expected READY, found {name}.");
        }

        var found = new Dictionary<string, byte[]>(StringComparer.OrdinalIgnoreCase);
        var data = rest.Span;
        while (data.Length > 0)
        {
            int nameLength = data[0];
            if (data.Length < 1 + nameLength + 4)
            {
                throw new InvalidDataException("A property of READY is cut off.");
            }

            var property = Encoding.ASCII.GetString(data.Slice(1, nameLength));
            data = data[(1 + nameLength)..];
            var length = BinaryPrimitives.ReadUInt32BigEndian(data);
            data = data[4..];
            if (length > (uint)data.Length)
            {
                throw new InvalidDataException("A property of READY is cut off.");
            }

            found[property] = data[..(int)length].ToArray();
            data = data[(int)length..];
        }

        return found;
    }

    private static byte[] Ready(string socketType)
    {
        var data = new List<byte>();
        data.AddRange(Property("Socket-Type", Encoding.ASCII.GetBytes(socketType)));
        data.AddRange(Property("Identity", []));
        return Command("READY", [.. data]);
    }

    private static byte[] Property(string name, byte[] value)
    {
        var length = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, value.Length);
        return [.. Prefixed(name), .. length, .. value];
    }

    private static byte[] Prefixed(string name) => [(byte)name.Length, .. Encoding.ASCII.GetBytes(name)];
}
