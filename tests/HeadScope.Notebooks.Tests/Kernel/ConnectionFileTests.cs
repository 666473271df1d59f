using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Kernel;

namespace HeadScope.Notebooks.Tests;

public sealed class ConnectionFileTests : IDisposable
{
    private readonly string path = Path.GetTempFileName();

    public void Dispose() => File.Delete(path);

    [Fact]
    public void A_file_of_a_client_is_read()
    {
        var file = Read(Good());
        Assert.Equal(("127.0.0.1", "tcp", "secret", 5001, 5005), (file.Address, file.Transport, file.Key, file.ShellPort, file.HeartbeatPort));
    }

    [Theory]
    [InlineData("ip")]
    [InlineData("shell_port")]
    [InlineData("control_port")]
    [InlineData("iopub_port")]
    [InlineData("stdin_port")]
    [InlineData("hb_port")]
    public void A_missing_field_is_named(string field)
    {
        var json = Good();
        json.Remove(field);
        Assert.Contains($"{path}: {field} is missing", Assert.Throws<InvalidDataException>(() => Read(json)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ip", "5", "ip is 5; expected a text")]
    [InlineData("key", "[]", "key is []; expected a text")]
    [InlineData("shell_port", "\"x\"", "shell_port is \"x\"; expected a port")]
    [InlineData("iopub_port", "99999", "iopub_port is 99999; expected a port")]
    [InlineData("hb_port", "0", "hb_port is 0; expected a port")]
    [InlineData("stdin_port", "1.5", "stdin_port is 1.5; expected a port")]
    [InlineData("signature_scheme", "\"hmac-md5\"", "signature_scheme is 'hmac-md5'; expected hmac-sha256")]
    public void A_wrong_field_is_named_with_what_was_expected(string field, string value, string message)
    {
        var json = Good();
        json[field] = JsonNode.Parse(value);
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Read(json)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{\"ip\": \"\\ud800\"}")]
    [InlineData("{\"ip\": \"a\", \"ip\": \"b\"}")]
    public void What_is_no_JSON_object_is_said_to_be_none(string text)
    {
        File.WriteAllText(path, text);
        Assert.Contains(path, Assert.Throws<InvalidDataException>(() => ConnectionFile.Read(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_is_taken_is_named()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var port = ((IPEndPoint)other.LocalEndpoint).Port;
        var json = Good();
        json["shell_port"] = port;
        var file = Read(json);
        Assert.Contains($"tcp://127.0.0.1:{port}", Assert.Throws<IOException>(() => new JupyterKernel(file)).Message, StringComparison.Ordinal);
    }

    private static JsonObject Good() => new()
    {
        ["transport"] = "tcp",
        ["ip"] = "127.0.0.1",
        ["key"] = "secret",
        ["signature_scheme"] = "hmac-sha256",
        ["shell_port"] = 5001,
        ["control_port"] = 5002,
        ["iopub_port"] = 5003,
        ["stdin_port"] = 5004,
        ["hb_port"] = 5005,
        ["kernel_name"] = "headscope",
    };

    private ConnectionFile Read(JsonObject json)
    {
        File.WriteAllText(path, json.ToJsonString());
        return ConnectionFile.Read(path);
    }
}
