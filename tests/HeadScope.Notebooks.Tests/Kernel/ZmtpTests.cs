using System.Net;
using System.Net.Sockets;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using HeadScope.Notebooks.Kernel.Zmtp;

namespace HeadScope.Notebooks.Tests;

public class ZmtpTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public void Frames_come_back_as_they_were_written() => Prop.ForAll<int, bool>((size, more) =>
    {
        var body = Enumerable.Range(0, (int)((uint)size % 700)).Select(i => (byte)i).ToArray();
        foreach (var frame in new[] { new ZmtpFrame(body, more, IsCommand: false), new ZmtpFrame(body, More: false, IsCommand: true) })
        {
            var got = Read(frame.ToBytes(), 1000);
            if (!got.Body.AsSpan().SequenceEqual(body) || got.More != frame.More || got.IsCommand != frame.IsCommand)
            {
                return false;
            }
        }

        return true;
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(0, "0000")]
    [InlineData(255, "00ff")]
    [InlineData(256, "020000000000000100")]
    public void Short_and_long_frames_are_as_the_specification_says(int size, string head) =>
        Assert.StartsWith(head, Convert.ToHexStringLower(new ZmtpFrame(new byte[size], More: false, IsCommand: false).ToBytes()), StringComparison.Ordinal);

    [Fact]
    public void Messages_mark_every_frame_but_the_last() =>
        Assert.Equal("010161" + "0100" + "000162", Convert.ToHexStringLower(ZmtpFrame.Message(["a"u8.ToArray(), [], "b"u8.ToArray()])));

    [Fact]
    public void Random_bytes_are_a_frame_an_end_or_refused() => Prop.ForAll<byte[]>(bytes =>
    {
        try
        {
            return Read(bytes, 1 << 20).Body.Length <= bytes.Length;
        }
        catch (Exception exception) when (exception is InvalidDataException or EndOfStreamException)
        {
            return true;
        }
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("02ffffffffffffffff")] // 2^64 - 1 bytes
    [InlineData("020000000000100000")] // one more than allowed
    [InlineData("08")]
    [InlineData("0500")] // a command with more to come
    public void Frames_too_long_or_with_unknown_flags_are_refused(string hex) =>
        Assert.Throws<InvalidDataException>(() => Read([.. Convert.FromHexString(hex), 0], (1 << 20) - 1));

    [Fact]
    public void Properties_of_ready_survive_any_bytes() => Prop.ForAll<byte[]>(bytes =>
    {
        try
        {
            _ = ZmtpHandshake.Properties([5, .. "READY"u8, .. bytes]);
            return true;
        }
        catch (InvalidDataException)
        {
            return true;
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public async Task Greeting_and_ready_are_as_the_specification_says()
    {
        await using var echo = new ZmtpEcho(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        echo.Start();
        using var peer = await Peer.ConnectAsync(port);
        var greeting = await peer.ReadAsync(64);
        Assert.Equal("ff00000000000000007f" + "03" + "01" + Convert.ToHexStringLower("NULL"u8), Convert.ToHexStringLower(greeting)[..32]);
        Assert.All(greeting[16..], b => Assert.Equal(0, b));
    }

    [Fact]
    public async Task A_rep_answers_with_what_it_got_and_a_ping_with_a_pong()
    {
        await using var echo = new ZmtpEcho(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        echo.Start();
        using var peer = await Peer.ConnectAsync(port);
        await peer.ShakeHandsAsync("REQ");
        await peer.SendAsync(ZmtpFrame.Message([[], "ping"u8.ToArray()]));
        Assert.Equal("0100" + "0004" + Convert.ToHexStringLower("ping"u8), Convert.ToHexStringLower(await peer.ReadAsync(8)));
        await peer.SendAsync(ZmtpHandshake.Command("PING", [0, 10, 1, 2, 3]));
        Assert.Equal("0408" + "04" + Convert.ToHexStringLower("PONG"u8) + "010203", Convert.ToHexStringLower(await peer.ReadAsync(10)));
    }

    [Fact]
    public async Task A_publisher_sends_to_those_who_subscribed_in_either_way()
    {
        await using var publisher = new ZmtpPublisher(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        publisher.Start();
        using var old = await Peer.ConnectAsync(port);
        using var recent = await Peer.ConnectAsync(port);
        await old.ShakeHandsAsync("SUB");
        await recent.ShakeHandsAsync("SUB");
        await old.SendAsync(ZmtpFrame.Message([[1, .. "a"u8]]));
        await recent.SendAsync(ZmtpHandshake.Command("SUBSCRIBE", "b"u8));

        // A ping is answered after what came before it, so both subscriptions are in force then.
        foreach (var peer in new[] { old, recent })
        {
            await peer.SendAsync(ZmtpHandshake.Command("PING", [0, 0]));
            await peer.ReadAsync(7);
        }

        publisher.Send(["a1"u8.ToArray()]);
        publisher.Send(["b1"u8.ToArray()]);
        publisher.Send(["a2"u8.ToArray()]);
        Assert.Equal("0002" + "6131" + "0002" + "6132", Convert.ToHexStringLower(await old.ReadAsync(8)));
        Assert.Equal("0002" + "6231", Convert.ToHexStringLower(await recent.ReadAsync(4)));
    }

    [Fact]
    public async Task A_router_tells_peers_apart_even_of_one_name()
    {
        var got = System.Threading.Channels.Channel.CreateUnbounded<(ZmtpConnection Peer, List<byte[]> Frames)>();
        await using var router = new ZmtpRouter(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)), ZmtpLimits.MessageBytes, (p, m) => got.Writer.WriteAsync((p, m)));
        router.Start();
        using var one = await Peer.ConnectAsync(port);
        using var two = await Peer.ConnectAsync(port);
        using var nameless = await Peer.ConnectAsync(port);
        await one.ShakeHandsAsync("DEALER", "me");
        await two.ShakeHandsAsync("DEALER", "me");
        await nameless.ShakeHandsAsync("DEALER");
        await one.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
        var first = await got.Reader.ReadAsync(Cancelled);
        await two.SendAsync(ZmtpFrame.Message(["y"u8.ToArray(), "z"u8.ToArray()]));
        var second = await got.Reader.ReadAsync(Cancelled);
        Assert.Equal("me", Encoding.ASCII.GetString(first.Peer.Identity));
        Assert.Equal(["y", "z"], second.Frames.Select(Encoding.ASCII.GetString));
        second.Peer.Send(["2"u8.ToArray()]);
        first.Peer.Send(["1"u8.ToArray()]);
        Assert.Equal("000131", Convert.ToHexStringLower(await one.ReadAsync(3)));
        Assert.Equal("000132", Convert.ToHexStringLower(await two.ReadAsync(3)));
    }

    [Fact]
    public async Task A_question_goes_to_the_peer_that_came_at_the_same_place_and_not_to_who_takes_its_name()
    {
        var asked = System.Threading.Channels.Channel.CreateUnbounded<ZmtpConnection>();
        await using var shell = new ZmtpRouter(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)), 1000, (p, _) => asked.Writer.WriteAsync(p));
        await using var stdin = new ZmtpRouter(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var other)), 1000, (p, _) => asked.Writer.WriteAsync(p));
        shell.Start();
        stdin.Start();
        using var one = await Peer.ConnectAsync(port);
        using var two = await Peer.ConnectAsync(port);
        using var none = await Peer.ConnectAsync(port);
        var typing = new List<Peer>();
        foreach (var peer in new[] { one, two })
        {
            // Its shell connection is known when it has been heard, and its stdin connection too.
            await HeardAsync(peer, "me");
            typing.Add(await Peer.ConnectAsync(other));
            await HeardAsync(typing[^1], "me");
        }

        using var thief = await Peer.ConnectAsync(other);
        await HeardAsync(thief, "me");
        for (var i = 0; i < 2; i++)
        {
            await (i == 0 ? one : two).SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
            stdin.Counterpart(shell, await asked.Reader.ReadAsync(Cancelled))!.Send([[(byte)i]]);
            Assert.Equal([0, 1, (byte)i], await typing[i].ReadAsync(3));
        }

        await HeardAsync(none, "nobody");
        await none.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
        Assert.Null(stdin.Counterpart(shell, await asked.Reader.ReadAsync(Cancelled)));
        typing.ForEach(peer => peer.Dispose());

        async Task HeardAsync(Peer peer, string name)
        {
            await peer.ShakeHandsAsync("DEALER", name);
            await peer.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
            await asked.Reader.ReadAsync(Cancelled);
        }
    }

    [Fact]
    public async Task Who_does_not_read_keeps_nobody_waiting_and_loses_what_does_not_fit()
    {
        await using var publisher = new ZmtpPublisher(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        publisher.Start();
        using var idle = await Peer.ConnectAsync(port);
        using var reading = await Peer.ConnectAsync(port);
        foreach (var peer in new[] { idle, reading })
        {
            await peer.ShakeHandsAsync("SUB");
            await peer.SendAsync(ZmtpHandshake.Command("SUBSCRIBE", []));
            await peer.SendAsync(ZmtpHandshake.Command("PING", [0, 0]));
            await peer.ReadAsync(7);
        }

        // Five times as much as is kept for one peer, to one that reads it all and one that reads nothing.
        var count = (int)(5 * ZmtpLimits.QueuedBytes / (1 << 20));
        var read = Task.Run(
            async () =>
            {
                for (var i = 0; i < count; i++)
                {
                    Assert.Equal((byte)i, (await reading.ReadAsync(9 + (1 << 20)))[9]);
                }
            },
            Cancelled);
        for (var i = 0; i < count; i++)
        {
            var message = new byte[1 << 20];
            message[0] = (byte)i;
            await Task.Run(() => publisher.Send([message]), Cancelled).WaitAsync(TimeSpan.FromSeconds(60), Cancelled);
        }

        await read;

        // What is short is kept even then.
        publisher.Send(["end"u8.ToArray()]);
        Assert.Equal([0, 3, .. "end"u8], await reading.ReadAsync(5));
        var got = 0;
        while ((await idle.ReadAsync(2))[0] != 0)
        {
            await idle.ReadAsync(7 + (1 << 20));
            got++;
        }

        Assert.InRange(got, 64, count - 1);
        Assert.Equal("end"u8.ToArray(), await idle.ReadAsync(3));
    }

    [Fact]
    public async Task Peers_that_send_much_and_end_nothing_are_dropped_and_others_go_on()
    {
        const int Longest = 8 << 20;
        await using var router = new ZmtpRouter(
            new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)), Longest, (p, m) => { p.Send(m); return ValueTask.CompletedTask; });
        router.Start();
        var dropped = 0;
        var peers = new List<Peer>();
        for (var i = 0; i < 4; i++)
        {
            var peer = await Peer.ConnectAsync(port);
            peers.Add(peer);
            await peer.ShakeHandsAsync("DEALER");
            await peer.SendAsync([3, 0, 0, 0, 0, .. Convert.FromHexString("007fffff")]);
            try
            {
                await peer.SendAsync(new byte[Longest - 100]);
                await peer.SendAsync(ZmtpHandshake.Command("PING", [0, 0])); // more of the same frame
                await peer.ReadAsync(1).WaitAsync(TimeSpan.FromSeconds(3), Cancelled);
            }
            catch (IOException)
            {
                dropped++;
            }
            catch (TimeoutException)
            {
                // It is waited for.
            }
        }

        // Together they may hold twice the longest message, and a little of each counts as nothing.
        Assert.Equal(2, dropped);
        using var other = await Peer.ConnectAsync(port);
        await other.ShakeHandsAsync("DEALER");
        await other.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
        Assert.Equal("000178", Convert.ToHexStringLower(await other.ReadAsync(3)));
        peers.ForEach(peer => peer.Dispose());
    }

    [Fact]
    public async Task Peers_that_say_nothing_give_way_and_only_so_many_stay()
    {
        await using var echo = new ZmtpEcho(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        echo.Start();
        var silent = new List<Peer>();
        for (var i = 0; i < ZmtpLimits.Strangers + 5; i++)
        {
            silent.Add(await Peer.ConnectAsync(port));
            await silent[^1].ReadAsync(64);
        }

        for (var i = 0; i < 5; i++)
        {
            await Assert.ThrowsAnyAsync<IOException>(() => silent[i].ReadAsync(1));
        }

        var known = new List<Peer>();
        for (var i = 0; i < ZmtpLimits.Peers; i++)
        {
            known.Add(await Peer.ConnectAsync(port));
            await known[^1].ShakeHandsAsync("REQ");
            await EchoAsync(known[^1]);
        }

        using var late = await Peer.ConnectAsync(port);
        await late.ShakeHandsAsync("REQ");
        await Assert.ThrowsAnyAsync<IOException>(() => late.ReadAsync(1));
        await EchoAsync(known[0]);
        silent.ForEach(peer => peer.Dispose());
        known.ForEach(peer => peer.Dispose());

        static async Task EchoAsync(Peer peer)
        {
            await peer.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
            Assert.Equal("000178", Convert.ToHexStringLower(await peer.ReadAsync(3)));
        }
    }

    [Theory]
    [InlineData("474554202f20485454502f312e310d0a0d0a")] // another protocol
    [InlineData("ff00000000000000017f01")] // ZMTP 2
    [InlineData("ff00000000000000007f0300504c41494e0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000")] // PLAIN
    public async Task Peers_of_another_kind_are_dropped_and_disturb_nobody(string hex)
    {
        await using var echo = new ZmtpEcho(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        echo.Start();
        using var stranger = await Peer.ConnectAsync(port);
        await stranger.ReadAsync(64);
        await stranger.SendAsync(Convert.FromHexString(hex));
        await Assert.ThrowsAnyAsync<IOException>(() => stranger.ReadAsync(1000));
        using var peer = await Peer.ConnectAsync(port);
        await peer.ShakeHandsAsync("REQ");
        await peer.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
        Assert.Equal(3, (await peer.ReadAsync(3)).Length);
    }

    [Fact]
    public async Task A_socket_of_the_wrong_type_is_told_so()
    {
        await using var echo = new ZmtpEcho(new ZmtpEndpoint("tcp", "127.0.0.1", FreePort(out var port)));
        echo.Start();
        using var peer = await Peer.ConnectAsync(port);
        await peer.ShakeHandsAsync("SUB");
        Assert.Contains("ERROR", Encoding.ASCII.GetString(await peer.ReadAsync(10)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Local_sockets_work_and_their_files_are_removed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Jupyter offers ipc on Unix only.");
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        await using (var echo = new ZmtpEcho(new ZmtpEndpoint("ipc", path, 7)))
        {
            echo.Start();
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path + "-7"), Cancelled);
            using var peer = new Peer(socket);
            await peer.ShakeHandsAsync("REQ");
            await peer.SendAsync(ZmtpFrame.Message(["x"u8.ToArray()]));
            Assert.Equal("000178", Convert.ToHexStringLower(await peer.ReadAsync(3)));
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path + "-7"));
            }
        }

        Assert.False(File.Exists(path + "-7"));
    }

    private static ZmtpFrame Read(byte[] bytes, long longest)
    {
        using var stream = new MemoryStream(bytes);
        return ZmtpFrame.ReadAsync(System.IO.Pipelines.PipeReader.Create(stream), longest, null, CancellationToken.None).AsTask().GetAwaiter().GetResult();
    }

    private static int FreePort(out int port)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        port = ((IPEndPoint)listener.LocalEndpoint).Port;
        return port;
    }

    private sealed class Peer(Socket socket) : IDisposable
    {
        private readonly NetworkStream stream = new(socket, ownsSocket: true);

        public static async Task<Peer> ConnectAsync(int port)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPAddress.Loopback, port, Cancelled);
            return new Peer(socket);
        }

        public async Task ShakeHandsAsync(string socketType, string identity = "")
        {
            await ReadAsync(64);
            await SendAsync(ZmtpHandshake.Greeting());
            byte[] properties =
            [
                11, .. "Socket-Type"u8, 0, 0, 0, (byte)socketType.Length, .. Encoding.ASCII.GetBytes(socketType),
                8, .. "identity"u8, 0, 0, 0, (byte)identity.Length, .. Encoding.ASCII.GetBytes(identity),
            ];
            await SendAsync(ZmtpHandshake.Command("READY", properties));
            var head = await ReadAsync(2);
            await ReadAsync(head[1]);
        }

        public Task SendAsync(byte[] bytes) => stream.WriteAsync(bytes, Cancelled).AsTask();

        public async Task<byte[]> ReadAsync(int count)
        {
            var bytes = new byte[count];
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
            limit.CancelAfter(TimeSpan.FromSeconds(60));
            await stream.ReadExactlyAsync(bytes, limit.Token);
            return bytes;
        }

        public void Dispose() => stream.Dispose();
    }
}
