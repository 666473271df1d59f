using System.Text.Json;
using System.Text.Json.Serialization;
using HeadScope.Notebooks.Kernel.Zmtp;

namespace HeadScope.Notebooks.Kernel;

/// <summary>The file by which a Jupyter client tells a kernel where to listen and with which key to sign.</summary>
public sealed record ConnectionFile
{
    /// <summary><c>tcp</c> or <c>ipc</c>.</summary>
    [JsonPropertyName("transport")]
    public string Transport { get; init; } = "tcp";

    /// <summary>The one address to listen on; with <c>ipc</c> the beginning of the sockets' paths.</summary>
    [JsonPropertyName("ip"), JsonRequired]
    public required string Address { get; init; }

    /// <summary>The key of the signatures; empty for unsigned messages.</summary>
    [JsonPropertyName("key")]
    public string Key { get; init; } = "";

    /// <summary>How messages are signed: <c>hmac-sha256</c>.</summary>
    [JsonPropertyName("signature_scheme")]
    public string SignatureScheme { get; init; } = "hmac-sha256";

    /// <summary>The port for requests.</summary>
    [JsonPropertyName("shell_port"), JsonRequired]
    public required int ShellPort { get; init; }

    /// <summary>The port for requests that must not wait for a running cell.</summary>
    [JsonPropertyName("control_port"), JsonRequired]
    public required int ControlPort { get; init; }

    /// <summary>The port for output.</summary>
    [JsonPropertyName("iopub_port"), JsonRequired]
    public required int IopubPort { get; init; }

    /// <summary>The port for asking the person at the notebook.</summary>
    [JsonPropertyName("stdin_port"), JsonRequired]
    public required int StdinPort { get; init; }

    /// <summary>The port of the heartbeat.</summary>
    [JsonPropertyName("hb_port"), JsonRequired]
    public required int HeartbeatPort { get; init; }

    /// <summary>Reads a connection file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    /// <exception cref="InvalidDataException">It is not JSON, lacks a field or asks for another signature.</exception>
    public static ConnectionFile Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"The connection file {path} is not there. A Jupyter client writes it before it starts the kernel.", path);
        }

        ConnectionFile file;
        try
        {
            file = JsonSerializer.Deserialize<ConnectionFile>(File.ReadAllBytes(path))
                ?? throw new InvalidDataException($"{path}: expected a JSON object, found null.");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"{path}: {exception.Message}", exception);
        }

        return file.SignatureScheme is "hmac-sha256" or ""
            ? file
            : throw new InvalidDataException($"{path}: signature_scheme is '{file.SignatureScheme}'; expected hmac-sha256.");
    }

    internal ZmtpEndpoint Endpoint(int port) => new(Transport, Address, port);
}
