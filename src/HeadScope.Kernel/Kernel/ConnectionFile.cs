using System.Text.Json;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Kernel.Zmtp;

namespace HeadScope.Notebooks.Kernel;

/// <summary>The file by which a Jupyter client tells a kernel where to listen and with which key to sign.</summary>
/// <param name="Transport"><c>tcp</c> or <c>ipc</c>.</param>
/// <param name="Address">The one address to listen on; with <c>ipc</c> the beginning of the sockets' paths.</param>
/// <param name="Key">The key of the signatures (HMAC-SHA256); empty for unsigned messages.</param>
/// <param name="ShellPort">The port for requests.</param>
/// <param name="ControlPort">The port for requests that must not wait for a running cell.</param>
/// <param name="IopubPort">The port for output.</param>
/// <param name="StdinPort">The port for asking the person at the notebook.</param>
/// <param name="HeartbeatPort">The port of the heartbeat.</param>
internal sealed record ConnectionFile(
    string Transport, string Address, string Key, int ShellPort, int ControlPort, int IopubPort, int StdinPort, int HeartbeatPort)
{
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

        try
        {
            var root = JsonNode.Parse(File.ReadAllBytes(path), documentOptions: new() { AllowDuplicateProperties = false }) as JsonObject
                ?? throw new InvalidDataException($"{path}: expected a JSON object.");
            var transport = Text("transport", "tcp");
            if (transport is not ("tcp" or "ipc"))
            {
                throw new NotSupportedException($"{path}: transport is '{transport}'; expected tcp or ipc.");
            }

            if (Text("signature_scheme", "hmac-sha256") is var scheme and not ("hmac-sha256" or ""))
            {
                throw new InvalidDataException($"{path}: signature_scheme is '{scheme}'; expected hmac-sha256.");
            }

            return new ConnectionFile(
                transport, Text("ip", null), Text("key", ""), Port("shell_port"), Port("control_port"), Port("iopub_port"), Port("stdin_port"), Port("hb_port"));

            string Text(string name, string? otherwise) => Field(name) is not { } value ? otherwise ?? throw Missing(name)
                : value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>()
                : throw new InvalidDataException($"{path}: {name} is {value.ToJsonString()}; expected a text.");

            int Port(string name) => Field(name) is not { } value ? throw Missing(name)
                : value is JsonValue number && number.TryGetValue<int>(out var port) && port is > 0 and <= ushort.MaxValue ? port
                : throw new InvalidDataException($"{path}: {name} is {value.ToJsonString()}; expected a port, 1 to {ushort.MaxValue}.");

            JsonNode? Field(string name) => !root.TryGetPropertyValue(name, out var value) ? null
                : value ?? throw new InvalidDataException($"{path}: {name} is null.");

            InvalidDataException Missing(string name) => new(
                $"{path}: {name} is missing; expected the fields ip, key, shell_port, control_port, iopub_port, stdin_port and hb_port.");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or ArgumentException)
        {
            // Not JSON, or a text that ends in the middle of a surrogate pair.
            throw new InvalidDataException($"{path} is not JSON: {exception.Message}", exception);
        }
    }

    internal ZmtpEndpoint Endpoint(int port) => new(Transport, Address, port);
}
