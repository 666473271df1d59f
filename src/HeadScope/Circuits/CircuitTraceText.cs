using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Xml;

namespace HeadScope;

/// <content>The circuit as GraphML, JSON and CSV, and back from JSON.</content>
public sealed partial record CircuitTrace
{
    private const string FormatName = "headscope-circuit";

    /// <summary>The weight with which the authors' code draws a head's tokens close to the head.</summary>
    private const double DrawingWeight = 2000;

    /// <summary>
    /// The circuit as GraphML, with the attributes of the authors' files: nodes <c>3.5</c> for senders and <c>9.6.IO</c> for heads at
    /// tokens, with <c>nfiring</c>; edges with <c>weight</c>, <c>total</c>, <c>type</c> (s or d), <c>count</c>, <c>prompt</c>,
    /// <c>src_token</c>, <c>dest_token</c>. A circuit traced with <see cref="EdgeCounting.Published"/> has their edges for drawing
    /// too: from each head at a token to the head, of weight 2000.
    /// </summary>
    /// <returns>The document.</returns>
    public string ToGraphMl()
    {
        (string Name, string For, string Type)[] keys =
        [
            ("nfiring", "node", "long"), ("weight", "edge", "double"), ("total", "edge", "double"), ("type", "edge", "string"),
            ("count", "edge", "long"), ("prompt", "edge", "long"), ("src_token", "edge", "string"), ("dest_token", "edge", "string"),
        ];
        var text = new StringBuilder("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, NewLineChars = "\n", OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("graphml", "http://graphml.graphdrawing.org/xmlns");
            foreach (var (name, element, type) in keys)
            {
                xml.WriteStartElement("key");
                xml.WriteAttributeString("id", name);
                xml.WriteAttributeString("for", element);
                xml.WriteAttributeString("attr.name", name);
                xml.WriteAttributeString("attr.type", type);
                xml.WriteEndElement();
            }

            xml.WriteStartElement("graph");
            xml.WriteAttributeString("edgedefault", "directed");
            foreach (var (id, firings) in Nodes())
            {
                xml.WriteStartElement("node");
                xml.WriteAttributeString("id", id);
                Data("nfiring", firings);
                xml.WriteEndElement();
            }

            foreach (var edge in Lines())
            {
                xml.WriteStartElement("edge");
                xml.WriteAttributeString("source", edge.From);
                xml.WriteAttributeString("target", edge.To);
                Data("weight", edge.Weight);
                Data("total", edge.Total);
                Data("type", edge.Type);
                Data("count", edge.Count);
                if (edge.Prompt is { } prompt)
                {
                    Data("prompt", prompt);
                }

                Data("src_token", edge.Source);
                Data("dest_token", edge.Destination);
                xml.WriteEndElement();
            }

            xml.WriteEndElement();
            xml.WriteEndElement();

            void Data(string key, IConvertible value)
            {
                xml.WriteStartElement("data");
                xml.WriteAttributeString("key", key);
                xml.WriteString(value.ToString(CultureInfo.InvariantCulture));
                xml.WriteEndElement();
            }
        }

        return text.Append('\n').ToString();
    }

    /// <summary>The merged circuit as JSON, from which <see cref="FromJson"/> makes it again, without the traces of single prompts.</summary>
    /// <returns>An object with model, prompts, options, roots, <c>nodes</c> and <c>edges</c> (as in <see cref="ToGraphMl"/>) and
    /// <c>firings</c> by head.</returns>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("format", FormatName);
            json.WriteNumber("version", 1);
            json.WriteString("model", Model);
            json.WriteString("prompts", PromptSet);
            json.WriteNumber("promptCount", PromptCount);
            json.WriteStartObject("options");
            json.WriteNumber("patternThreshold", Options.PatternThreshold);
            json.WriteNumber("upstreamShare", Options.UpstreamShare);
            json.WriteString("counting", Options.Counting.ToString());
            json.WriteString("senders", Options.Senders.ToString());
            json.WriteString("rootSource", Options.RootSource);
            json.WriteString("rootDestination", Options.RootDestination);
            json.WriteEndObject();
            json.WriteString("emptyReason", EmptyReason);
            json.WriteStartArray("roots");
            foreach (var root in Roots)
            {
                json.WriteStartArray();
                json.WriteNumberValue(root.Layer);
                json.WriteNumberValue(root.Index);
                json.WriteEndArray();
            }

            json.WriteEndArray();
            json.WriteStartArray("nodes");
            foreach (var (id, firings) in Nodes())
            {
                json.WriteStartObject();
                json.WriteString("id", id);
                json.WriteNumber("nfiring", firings);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("edges");
            foreach (var edge in Lines())
            {
                json.WriteStartObject();
                json.WriteString("from", edge.From);
                json.WriteString("to", edge.To);
                json.WriteNumber("weight", edge.Weight);
                json.WriteNumber("total", edge.Total);
                json.WriteString("type", edge.Type);
                json.WriteNumber("count", edge.Count);
                if (edge.Prompt is { } prompt)
                {
                    json.WriteNumber("prompt", prompt);
                }

                json.WriteString("src_token", edge.Source);
                json.WriteString("dest_token", edge.Destination);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartObject("firings");
            foreach (var (head, count) in Firings)
            {
                json.WriteNumber(head.ToString(), count);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Reads a circuit that <see cref="ToJson"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <returns>The circuit; its <see cref="Traces"/> are empty.</returns>
    /// <exception cref="InvalidDataException">The text is no JSON or no circuit; the message names the field.</exception>
    public static CircuitTrace FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            ResultJson.RequireVersionOne(root, FormatName, "circuit");

            var options = root.GetProperty("options");
            Head[] roots = [.. root.GetProperty("roots").EnumerateArray().Select(r => new Head(r[0].GetInt32(), r[1].GetInt32()))];
            return new CircuitTrace(
                root.GetProperty("model").GetString()!,
                root.GetProperty("prompts").GetString()!,
                root.GetProperty("promptCount").GetInt32(),
                new TraceOptions
                {
                    PatternThreshold = options.GetProperty("patternThreshold").GetDouble(),
                    UpstreamShare = options.GetProperty("upstreamShare").GetDouble(),
                    Counting = Enum.Parse<EdgeCounting>(options.GetProperty("counting").GetString()!),
                    Senders = Enum.Parse<Senders>(options.GetProperty("senders").GetString()!),
                    RootSource = options.GetProperty("rootSource").GetString(),
                    RootDestination = options.GetProperty("rootDestination").GetString()!,
                    Roots = roots,
                },
                roots,
                [.. root.GetProperty("edges").EnumerateArray().Where(e => e.TryGetProperty("prompt", out _)).Select(ReadEdge)],
                root.GetProperty("firings").EnumerateObject().ToDictionary(f => Head.Parse(f.Name), f => f.Value.GetInt32()),
                [],
                root.GetProperty("emptyReason").GetString());
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException
            or ArgumentException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"The circuit cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The edges as CSV, a line for each below a header, in the order in which they were first seen.</summary>
    /// <returns>The columns sender, receiver, role, side, weight, total, count, first_prompt, source_role, destination_role.</returns>
    public string ToCsv() => CsvTable.Write(
        ["sender", "receiver", "role", "side", "weight", "total", "count", "first_prompt", "source_role", "destination_role"],
        Edges.Select(e => (object[])
        [
            e.Sender.ToString(),
            e.Receiver.ToString(),
            e.Role,
            e.Side.ToString(),
            e.Weight,
            e.Total,
            e.Count,
            e.FirstPrompt,
            e.SourceRole,
            e.DestinationRole,
        ]));

    private static string NodeOf(CircuitEdge edge) => $"{edge.Receiver}.{edge.Role}";

    private static string Letter(SignalSide side) => side == SignalSide.Source ? "s" : "d";

    private static CircuitEdge ReadEdge(JsonElement edge)
    {
        var (from, to) = (edge.GetProperty("from").GetString(), edge.GetProperty("to").GetString()!);
        var parts = to.Split('.', 3);
        if (!Component.TryParse(from, out var sender) || parts.Length != 3)
        {
            throw new InvalidDataException($"An edge goes from '{from}' to '{to}': expected a component such as 3.5 and a head at a role such as 9.6.IO.");
        }

        return new CircuitEdge(
            sender,
            Head.Parse($"{parts[0]}.{parts[1]}"),
            parts[2],
            edge.GetProperty("type").GetString() switch
            {
                "s" => SignalSide.Source,
                "d" => SignalSide.Destination,
                var type => throw new InvalidDataException($"The edge from '{from}' to '{to}' has type '{type}': expected s or d."),
            },
            edge.GetProperty("total").GetDouble(),
            edge.GetProperty("count").GetInt64(),
            edge.GetProperty("prompt").GetInt32(),
            edge.GetProperty("src_token").GetString()!,
            edge.GetProperty("dest_token").GetString()!);
    }

    private IEnumerable<(string Id, int Firings)> Nodes()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var edge in Edges)
        {
            var firings = Firings.GetValueOrDefault(edge.Receiver);
            var sent = edge.Sender.Kind == ComponentKind.Head ? Firings.GetValueOrDefault(new(edge.Sender.Layer, edge.Sender.Index)) : 0;
            (string Id, int Firings)[] nodes = [(edge.Sender.ToString(), sent), (NodeOf(edge), firings), (edge.Receiver.ToString(), firings)];
            foreach (var node in Options.Counting == EdgeCounting.Published ? nodes : nodes[..2])
            {
                if (seen.Add(node.Id))
                {
                    yield return node;
                }
            }
        }
    }

    private IEnumerable<GraphLine> Lines()
    {
        var lines = Edges.Select(e => new GraphLine(
            e.Sender.ToString(), NodeOf(e), e.Weight, e.Total, Letter(e.Side), e.Count, e.FirstPrompt, e.SourceRole, e.DestinationRole));
        if (Options.Counting != EdgeCounting.Published)
        {
            return lines;
        }

        return lines.Concat(Edges.GroupBy(NodeOf, StringComparer.Ordinal).Select(into => new GraphLine(
            into.Key, into.First().Receiver.ToString(), DrawingWeight, DrawingWeight, Letter(into.First().Side), into.Sum(e => e.Count), null,
            into.First().SourceRole, into.First().DestinationRole)));
    }

    private sealed record GraphLine(
        string From, string To, double Weight, double Total, string Type, long Count, int? Prompt, string Source, string Destination);
}
