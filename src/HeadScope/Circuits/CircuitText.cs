using System.Xml.Linq;

namespace HeadScope;

/// <content>The circuit as GraphML, JSON and CSV.</content>
public sealed partial record Circuit
{
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

    /// <summary>The merged circuit as JSON, without the steps of single prompts.</summary>
    /// <returns>An object with model, prompts, options, roots, <c>nodes</c> and <c>edges</c> (as in <see cref="ToGraphMl"/>) and
    /// <c>firings</c> by head.</returns>
    public string ToJson() => ResultJson.Write("headscope-circuit", new
    {
        model = Model, prompts = PromptSet, promptCount = PromptCount,
        options = new
        {
            patternThreshold = Options.PatternThreshold, upstreamShare = Options.UpstreamShare,
            counting = Options.CountRepeats ? "Published" : "OncePerPrompt", senders = Options.HeadsWithConstant ? "HeadsWithConstant" : "AllComponents",
            rootSource = Options.RootSource, rootDestination = Options.RootDestination,
        },
        emptyReason = EmptyReason,
        roots = Roots.Select(root => (root.Layer, root.Index)), nodes = Nodes(), edges = Lines(), firings = ResultJson.ByHead(Firings),
    });

    /// <summary>The edges as CSV: the columns of <see cref="Table"/>, in the order in which the edges were first seen.</summary>
    public string ToCsv() => Table.ToCsv();

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
