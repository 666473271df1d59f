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
    /// <exception cref="InvalidDataException">It is not JSON, lacks a field, has a wrong one or asks for another signature.</exception>
    /// <exception cref="NotSupportedException">The transport is neither tcp nor ipc.</exception>
    public static ConnectionFile Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"The connection file {path} is not there. A Jupyter client writes it before it starts the kernel.", path);
        }

        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(File.ReadAllBytes(path));
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"{path} is not JSON: {exception.Message}", exception);
        }

        using (document)
        {
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"{path}: expected a JSON object, found {Kind(root)}.");
            }

            var transport = Text("transport", "tcp");
            if (transport is not ("tcp" or "ipc"))
            {
                throw new NotSupportedException($"{path}: transport is '{transport}'; expected tcp or ipc.");
            }

            var scheme = Text("signature_scheme", "hmac-sha256");
            if (scheme is not ("hmac-sha256" or ""))
            {
                throw new InvalidDataException($"{path}: signature_scheme is '{scheme}'; expected hmac-sha256.");
            }

            return new ConnectionFile
            {
                Transport = transport,
                Address = Text("ip", null),
                Key = Text("key", ""),
                SignatureScheme = scheme,
                ShellPort = Port("shell_port"),
                ControlPort = Port("control_port"),
                IopubPort = Port("iopub_port"),
                StdinPort = Port("stdin_port"),
                HeartbeatPort = Port("hb_port"),
            };

            string Text(string name, string? otherwise) => !root.TryGetProperty(name, out var value)
                ? otherwise ?? throw Missing(name)
                : value.ValueKind == JsonValueKind.String && Whole(value) is { } text
                    ? text
                    : throw new InvalidDataException($"{path}: {name} is {Kind(value)}; expected a text.");

            int Port(string name) => !root.TryGetProperty(name, out var value)
                ? throw Missing(name)
                : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var port) && port is > 0 and <= ushort.MaxValue
                    ? port
                    : throw new InvalidDataException($"{path}: {name} is {value.GetRawText()}; expected a port, 1 to {ushort.MaxValue}.");

            InvalidDataException Missing(string name) => new(
                $"{path}: {name} is missing; expected the fields ip, key, shell_port, control_port, iopub_port, stdin_port and hb_port.");
        }
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => "an array",
        JsonValueKind.Object => "an object",
        _ => value.GetRawText(),
    };

    // Null for a text that ends in the middle of a surrogate pair.
    private static string? Whole(JsonElement text)
    {
        try
        {
            return text.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    internal ZmtpEndpoint Endpoint(int port) => new(Transport, Address, port);
}
