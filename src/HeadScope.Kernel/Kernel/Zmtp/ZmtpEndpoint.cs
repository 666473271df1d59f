using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace HeadScope.Notebooks.Kernel.Zmtp;

/// <summary>Where a socket listens: an address and port, or a file of a local socket.</summary>
/// <param name="Transport"><c>tcp</c> or <c>ipc</c>.</param>
/// <param name="Address">The IP address, or the beginning of the file's path.</param>
/// <param name="Port">The port; for files the number after the dash at the end of the path.</param>
internal sealed record ZmtpEndpoint(string Transport, string Address, int Port)
{
    /// <summary>Starts to listen there and nowhere else.</summary>
    /// <exception cref="NotSupportedException">The transport is neither.</exception>
    /// <exception cref="InvalidDataException">The address is not an IP address.</exception>
    /// <exception cref="IOException">The port is taken, the address is not of this machine, or the file's folder is not there.</exception>
    public Socket Listen()
    {
        var (socket, local) = Transport switch
        {
            "tcp" => (new Socket(Ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true }, (EndPoint)new IPEndPoint(Ip, Port)),
            "ipc" => (new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified), new UnixDomainSocketEndPoint(FilePath)),
            _ => throw new NotSupportedException($"The transport '{Transport}' is not supported; expected tcp or ipc."),
        };
        try
        {
            if (Transport is "ipc")
            {
                File.Delete(FilePath);
            }

            socket.Bind(local);
            if (Transport is "ipc" && !OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(FilePath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            socket.Listen();
            return socket;
        }
        catch (Exception exception) when (exception is SocketException or IOException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new IOException($"The kernel cannot listen at {this}, where its connection file says: {exception.Message}", exception);
        }
    }

    /// <summary>Removes the file of a local socket.</summary>
    public void Remove()
    {
        if (Transport is "ipc")
        {
            File.Delete(FilePath);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Transport is "ipc" ? $"ipc://{FilePath}" : $"tcp://{new IPEndPoint(Ip, Port)}";

    private string FilePath => string.Create(CultureInfo.InvariantCulture, $"{Address}-{Port}");

    private IPAddress Ip => IPAddress.TryParse(Address, out var ip) ? ip
        : Address is "localhost" ? IPAddress.Loopback
        : throw new InvalidDataException($"The connection file's ip is '{Address}'; expected an IP address.");
}
