using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace HeadScope.Tests;

/// <summary>An HTTP server on this machine that answers as it is told, wrongly where it is told so, and remembers what it was asked.</summary>
public sealed class LocalServer : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly Func<Request, Answer> answer;

    public LocalServer(Func<Request, Answer> answer)
    {
        this.answer = answer;
        listener.Start();
        _ = AcceptAsync();
    }

    public ConcurrentQueue<Request> Requests { get; } = new();

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");

    public void Dispose() => listener.Dispose();

    private async Task AcceptAsync()
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await listener.AcceptTcpClientAsync();
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return;
            }

            _ = ServeAsync(client);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var request = await ReadAsync(stream);
                Requests.Enqueue(request);
                var reply = answer(request);
                if (reply.Status != 0)
                {
                    await WriteAsync(stream, request, reply);
                }

                if (!reply.Hangs)
                {
                    // An orderly end, so that what was sent arrives before the end does.
                    client.Client.Shutdown(SocketShutdown.Send);
                }

                await stream.CopyToAsync(Stream.Null);
            }
            catch (Exception error) when (error is IOException or SocketException)
            {
                // The other side has gone.
            }
        }
    }

    private static async Task<Request> ReadAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII, leaveOpen: true);
        var start = (await reader.ReadLineAsync() ?? throw new IOException("The client said nothing.")).Split(' ');
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        while (await reader.ReadLineAsync() is { Length: > 0 } line)
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            headers[line[..colon]] = line[(colon + 1)..].Trim();
        }

        return new Request(start[0], start[1], headers);
    }

    private static async Task WriteAsync(NetworkStream stream, Request request, Answer reply)
    {
        var (status, body) = (reply.Status, reply.Body);
        var head = new StringBuilder();
        if (status == 200 && reply.Resumes && request.From is var from and > 0)
        {
            head.Append(CultureInfo.InvariantCulture, $"Content-Range: bytes {from}-{body.Length - 1}/{body.Length}\r\n");
            (status, body) = (206, body[(int)from..]);
        }

        foreach (var (name, value) in reply.Headers)
        {
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        }

        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {status} Answer\r\nContent-Length: {body.Length}\r\nConnection: close\r\n{head}\r\n")));
        if (request.Method != "HEAD")
        {
            await stream.WriteAsync(body.AsMemory(0, Math.Min(body.Length, reply.CutAfter)));
        }
    }

    public sealed record Request(string Method, string Path, IReadOnlyDictionary<string, string> Headers)
    {
        /// <summary>The first byte asked for; 0 for the whole.</summary>
        public long From => Headers.TryGetValue("Range", out var range)
            ? long.Parse(range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture)
            : 0;
    }

    /// <summary>What to answer. The status 0 ends the connection without a word; the body ends after <c>CutAfter</c> bytes.</summary>
    public sealed record Answer(int Status, params IReadOnlyList<(string Name, string Value)> Headers)
    {
        public byte[] Body { get; init; } = [];

        public int CutAfter { get; init; } = int.MaxValue;

        /// <summary>Whether the connection stays open and silent until the client ends it.</summary>
        public bool Hangs { get; init; }

        public bool Resumes { get; init; } = true;
    }
}
