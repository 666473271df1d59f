using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using HeadScope.Notebooks.Kernel.Zmtp;

namespace HeadScope.Notebooks.Kernel;

/// <summary>A message of the Jupyter protocol and its form on the wire: identities, a delimiter, the signature, four JSON parts.</summary>
internal sealed record JupyterMessage
{
    /// <summary>The version of the protocol that is spoken here.</summary>
    public const string ProtocolVersion = "5.3";

    private static readonly byte[] Delimiter = "<IDS|MSG>"u8.ToArray();
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 128 };
    private static readonly JsonSerializerOptions Compact = new()
    {
        // Read by Jupyter clients, never pasted into HTML.
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Who sent it; null for messages made here.</summary>
    public ZmtpConnection? Peer { get; init; }

    /// <summary>What stands before the delimiter: for output the topic, otherwise mostly nothing.</summary>
    public required IReadOnlyList<byte[]> Identities { get; init; }

    /// <summary>Type, id, session, user, date and version.</summary>
    public required JsonObject Header { get; init; }

    /// <summary>The header of the request that it answers; empty for none.</summary>
    public required JsonObject ParentHeader { get; init; }

    /// <summary>What it says.</summary>
    public required JsonObject Content { get; init; }

    /// <summary>The type, such as <c>execute_request</c>.</summary>
    public string Type => (string?)Header["msg_type"] ?? "";

    /// <summary>Makes an answer to this request.</summary>
    /// <param name="type">The type of the new message.</param>
    /// <param name="content">What it says.</param>
    /// <param name="session">The kernel's session.</param>
    public JupyterMessage Answer(string type, JsonObject content, string session) => Create(type, content, session, Header, Identities);

    /// <summary>Makes a message.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="content">What it says.</param>
    /// <param name="session">The kernel's session.</param>
    /// <param name="parent">The header of the request that it belongs to; null for none.</param>
    /// <param name="identities">What stands before the delimiter.</param>
    public static JupyterMessage Create(
        string type, JsonObject content, string session, JsonObject? parent, IReadOnlyList<byte[]> identities) => new()
        {
            Identities = identities,
            Header = new JsonObject
            {
                ["msg_id"] = Guid.NewGuid().ToString(),
                ["session"] = session,
                ["username"] = "headscope",
                ["date"] = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture),
                ["msg_type"] = type,
                ["version"] = ProtocolVersion,
            },
            ParentHeader = parent ?? [],
            Content = content,
        };

    /// <summary>Reads a message; null when it is malformed, wrongly signed or was here before, which a kernel must ignore.</summary>
    /// <param name="frames">The frames as received.</param>
    /// <param name="signer">Knows the key.</param>
    /// <param name="peer">Who sent it.</param>
    public static JupyterMessage? Parse(IReadOnlyList<byte[]> frames, MessageSigner signer, ZmtpConnection? peer = null)
    {
        var at = 0;
        while (at < frames.Count && !frames[at].AsSpan().SequenceEqual(Delimiter))
        {
            at++;
        }

        if (frames.Count < at + 6 || !signer.Accepts(frames[at + 1], frames[at + 2], frames[at + 3], frames[at + 4], frames[at + 5]))
        {
            return null;
        }

        try
        {
            // A header is sent back as the parent of what answers it; one with half a surrogate pair cannot be.
            return Object(frames[at + 2]) is { } header && Bytes(header).Length > 0 && header["msg_type"] is JsonValue type && type.TryGetValue<string>(out _)
                && Object(frames[at + 3]) is { } parent && Object(frames[at + 4]) is not null && Object(frames[at + 5]) is { } content
                ? new JupyterMessage { Peer = peer, Identities = [.. frames.Take(at)], Header = header, ParentHeader = parent, Content = content }
                : null;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or InvalidOperationException)
        {
            // Not JSON; or an object that names a key twice.
            return null;
        }
    }

    /// <summary>The frames to send.</summary>
    /// <param name="signer">Knows the key.</param>
    public IReadOnlyList<byte[]> ToFrames(MessageSigner signer)
    {
        var header = Bytes(Header);
        var parent = Bytes(ParentHeader);
        var metadata = "{}"u8.ToArray();
        var content = Bytes(Content);
        return [.. Identities, Delimiter, signer.Sign(header, parent, metadata, content), header, parent, metadata, content];
    }

    private static JsonObject? Object(byte[] json)
    {
        var node = JsonNode.Parse(json, documentOptions: Strict) as JsonObject;
        _ = node?.Count; // Objects are read late; a key given twice is found now.
        return node;
    }

    private static byte[] Bytes(JsonObject json) => Encoding.UTF8.GetBytes(json.ToJsonString(Compact));
}
