using System.Text.Json;
using System.Text.Json.Nodes;
using System.Xml.Linq;

namespace HeadScope;

/// <content>The circuit as GraphML, JSON and CSV, and back from JSON.</content>
public sealed partial record Circuit
{
    private const string FormatName = "headscope-circuit";

    /// <summary>The weight with which the authors' code draws a head's tokens close to the head.</summary>
    private const double DrawingWeight = 2000;

    /// <summary>The circuit as GraphML, with the attributes of the authors' files: nodes <c>3.5</c> for senders and <c>9.6.IO</c> for heads at
    /// tokens, with <c>nfiring</c>; edges with <c>weight</c>, <c>total</c>, <c>type</c> (s or d), <c>count</c>, <c>prompt</c>, <c>src_token</c>,
    /// <c>dest_token</c>. A circuit traced with <see cref="TraceOptions.CountRepeats"/> has their edges for drawing too: from each head at a token to
    /// the head, of weight 2000.</summary>
    /// <returns>The document.</returns>
    public string ToGraphMl()
    {
        XNamespace ns = "http://graphml.graphdrawing.org/xmlns";
        (string Name, string For, string Type)[] keys =
        [
            ("nfiring", "node", "long"), ("weight", "edge", "double"), ("total", "edge", "double"), ("type", "edge", "string"),
            ("count", "edge", "long"), ("prompt", "edge", "long"), ("src_token", "edge", "string"), ("dest_token", "edge", "string"),
        ];
        var graph = new XElement(
            ns + "graphml",
            keys.Select(k => new XElement(
                ns + "key", new XAttribute("id", k.Name), new XAttribute("for", k.For), new XAttribute("attr.name", k.Name), new XAttribute("attr.type", k.Type))),
            new XElement(
                ns + "graph",
                new XAttribute("edgedefault", "directed"),
                Nodes().Select(node => new XElement(ns + "node", new XAttribute("id", $"{node["id"]}"), Data(node, 1))),
                Lines().Select(line => new XElement(ns + "edge", new XAttribute("source", $"{line["from"]}"), new XAttribute("target", $"{line["to"]}"), Data(line, 2)))));
        return $"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{graph.ToString().ReplaceLineEndings("\n")}\n";

        IEnumerable<XElement> Data(JsonObject json, int from) =>
            json.Skip(from).Select(field => new XElement(ns + "data", new XAttribute("key", field.Key), $"{field.Value}"));
    }

    /// <summary>The merged circuit as JSON, from which <see cref="FromJson"/> makes it again, without the steps of single prompts.</summary>
    /// <returns>An object with model, prompts, options, roots, <c>nodes</c> and <c>edges</c> (as in <see cref="ToGraphMl"/>) and
    /// <c>firings</c> by head.</returns>
    public string ToJson() => ResultJson.Written(new JsonObject
    {
        ["format"] = FormatName,
        ["version"] = 1,
        ["model"] = Model,
        ["prompts"] = PromptSet,
        ["promptCount"] = PromptCount,
        ["options"] = new JsonObject
        {
            ["patternThreshold"] = Options.PatternThreshold,
            ["upstreamShare"] = Options.UpstreamShare,
            ["counting"] = Options.CountRepeats ? Published : OncePerPrompt,
            ["senders"] = Options.HeadsWithConstant ? HeadsWithConstant : AllComponents,
            ["rootSource"] = Options.RootSource,
            ["rootDestination"] = Options.RootDestination,
        },
        ["emptyReason"] = EmptyReason,
        ["roots"] = new JsonArray([.. Roots.Select(root => new JsonArray(root.Layer, root.Index))]),
        ["nodes"] = new JsonArray([.. Nodes()]),
        ["edges"] = new JsonArray([.. Lines()]),
        ["firings"] = new JsonObject(Firings.Select(f => KeyValuePair.Create(f.Key.ToString(), (JsonNode?)f.Value))),
    });

    /// <summary>Reads a circuit that <see cref="ToJson()"/> wrote.</summary>
    /// <param name="json">The JSON.</param>
    /// <returns>The circuit; its <see cref="Steps"/> are empty.</returns>
    /// <exception cref="InvalidDataException">The text is no JSON or no circuit; the message names the field.</exception>
    public static Circuit FromJson(string json) => ResultJson.Read(json, FormatName, "circuit", root =>
    {
        var options = root.GetProperty("options");
        Head[] roots = [.. root.GetProperty("roots").EnumerateArray().Select(r => Head.Parse($"{r[0].GetInt32()}.{r[1].GetInt32()}"))];
        return new Circuit(
            root.Text("model"),
            root.Text("prompts"),
            root.Number("promptCount", least: 0),
            new()
            {
                PatternThreshold = options.Finite("patternThreshold"),
                UpstreamShare = options.Finite("upstreamShare"),
                CountRepeats = Chosen(options, "counting", OncePerPrompt, Published),
                HeadsWithConstant = Chosen(options, "senders", AllComponents, HeadsWithConstant),
                RootSource = options.GetProperty("rootSource").GetString(),
                RootDestination = options.Text("rootDestination"),
                Roots = roots,
            },
            roots,
            [.. root.GetProperty("edges").EnumerateArray().Where(e => e.TryGetProperty("prompt", out _)).Select(ReadEdge)],
            root.GetProperty("firings").EnumerateObject().ToDictionary(f => Head.Parse(f.Name), f => f.Value.GetInt32()),
            root.GetProperty("emptyReason").GetString());
    });

    /// <summary>The edges as CSV: the columns of <see cref="Table"/>, in the order in which the edges were first seen.</summary>
    public string ToCsv() => CsvTable.Write(Table);

    private const string OncePerPrompt = "OncePerPrompt", Published = "Published", AllComponents = "AllComponents", HeadsWithConstant = "HeadsWithConstant";

    private static bool Chosen(JsonElement options, string name, string no, string yes) => options.GetProperty(name).GetString() is var word && word == yes
        || (word == no ? false : throw new InvalidDataException($"The circuit's option {name} is '{word}': expected {no} or {yes}."));

    private static CircuitEdge ReadEdge(JsonElement edge)
    {
        var (from, to) = (edge.GetProperty("from").GetString(), edge.Text("to"));
        var parts = to.Split('.', 3);
        Fault.InvalidDataIf(
            Component.Parse(from) is null || parts.Length != 3,
            $"An edge goes from '{from}' to '{to}': expected a component such as 3.5 and a head at a role such as 9.6.IO.");
        var type = edge.GetProperty("type").GetString();
        Fault.InvalidDataIf(type is not ("s" or "d"), $"The edge from '{from}' to '{to}' has type '{type}': expected s or d.");
        return new(
            from,
            Head.Parse($"{parts[0]}.{parts[1]}"),
            type == "s" ? SignalSide.Source : SignalSide.Destination,
            edge.Text("src_token"),
            edge.Text("dest_token"),
            edge.Finite("total"),
            edge.GetProperty("count").GetInt64() is > 0 and var count ? count : throw new FormatException($"The edge from '{from}' to '{to}' has no count."),
            edge.Number("prompt", least: 0));
    }

    private static string NodeOf(CircuitEdge edge) => $"{edge.Receiver}.{edge.Role}";

    private IEnumerable<JsonObject> Nodes() => Edges
        .SelectMany(edge => new[] { edge.Sender!, NodeOf(edge), edge.Receiver.ToString() }[..(Options.CountRepeats ? 3 : 2)], (edge, id) => (
            Id: id, Head: id != edge.Sender ? edge.Receiver : Head.TryParse(id, out var sender) ? sender : new(-1, 0)))
        .DistinctBy(node => node.Id, StringComparer.Ordinal)
        .Select(node => new JsonObject { ["id"] = node.Id, ["nfiring"] = Firings.GetValueOrDefault(node.Head) });

    private IEnumerable<JsonObject> Lines()
    {
        var lines = Edges.Select(e => Line(e, e.Sender!, NodeOf(e), e.Weight, e.Total, e.Count, e.FirstPrompt));
        return !Options.CountRepeats ? lines : lines.Concat(Edges.GroupBy(NodeOf, StringComparer.Ordinal).Select(into =>
            Line(into.First(), into.Key, into.First().Receiver.ToString(), DrawingWeight, DrawingWeight, into.Sum(e => e.Count), null)));

        static JsonObject Line(CircuitEdge edge, string from, string to, double weight, double total, long count, int? prompt)
        {
            var line = new JsonObject
            {
                ["from"] = from, ["to"] = to, ["weight"] = weight, ["total"] = total, ["type"] = edge.Side == SignalSide.Source ? "s" : "d", ["count"] = count,
            };
            if (prompt is not null)
            {
                line["prompt"] = prompt;
            }

            (line["src_token"], line["dest_token"]) = (edge.SourceRole, edge.DestinationRole);
            return line;
        }
    }
}
