using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace HeadScope.Tests;

public class CircuitTextTests
{
    [Theory]
    [InlineData("tiny", true)]
    [InlineData("demo", true)]
    [InlineData("tiny", false)]
    [InlineData("demo", false)]
    public void Json_has_the_nodes_and_edges_of_the_reference(string name, bool published)
    {
        var reference = CircuitReference.Load(name);
        var golden = reference.Json(published ? "graph.json" : "graph_once_per_prompt.json");
        var trace = TraceReferenceTests.Trace(reference, golden, published);
        using var document = JsonDocument.Parse(trace.ToJson());
        // The reference counts firings in the published graph alone.
        Assert.Equal(Nodes(golden, published), Nodes(document.RootElement, published));
        AssertSame(Edges(golden), Edges(document.RootElement));
    }

    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void GraphMl_is_the_reference_file_with_plain_names(string name)
    {
        var reference = CircuitReference.Load(name);
        var trace = TraceReferenceTests.Trace(reference, reference.Json("graph.json"), published: true);
        AssertSame(Graph(XDocument.Load(Path.Combine(reference.Folder, "graph.graphml"))), Graph(XDocument.Parse(trace.ToGraphMl())));
    }

    [Fact]
    public void Json_and_csv_have_every_edge_of_a_trace()
    {
        var trace = Circuit.Trace(Demo.Value, Ioi.Prompts(4));
        using var document = JsonDocument.Parse(trace.ToJson());
        var json = document.RootElement;
        Assert.Equal(("headscope-circuit", 1), (json.GetProperty("format").GetString(), json.GetProperty("version").GetInt32()));
        Assert.NotEmpty(trace.Edges);
        Assert.Contains(trace.Edges, e => e.Sender!.StartsWith("mlp", StringComparison.Ordinal));
        Assert.Equal(
            trace.Edges.Select(e => $"{e.Sender}, {e.Receiver}.{e.Role}, {e.Total:r}, {e.Count}, {e.FirstPrompt}, {e.SourceRole}, {e.DestinationRole}"),
            json.GetProperty("edges").EnumerateArray().Select(e => string.Join(", ", ((string[])["from", "to", "total", "count", "prompt", "src_token", "dest_token"]).Select(e.GetProperty))));
        Assert.Equal(trace.Firings.ToDictionary(f => $"{f.Key}", f => f.Value), json.GetProperty("firings").EnumerateObject().ToDictionary(f => f.Name, f => f.Value.GetInt32()));
        Assert.Equal(trace.Roots, json.GetProperty("roots").EnumerateArray().Select(r => new Head(r[0].GetInt32(), r[1].GetInt32())));
        Assert.Equal(trace.Edges.Count + 1, trace.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static IEnumerable<string> Nodes(JsonElement graph, bool withFirings) => graph.GetProperty("nodes").EnumerateArray()
        .Select(n => withFirings ? $"{n.GetProperty("id")} fires {n.GetProperty("nfiring")}" : $"{n.GetProperty("id")}").Order(StringComparer.Ordinal);

    private static List<(string Text, double[] Numbers)> Edges(JsonElement graph) => [.. graph.GetProperty("edges").EnumerateArray()
        .Select(e => ($"{e.GetProperty("from")} to {e.GetProperty("to")}, {e.GetProperty("type")}, {e.GetProperty("count")} times", (double[])[e.GetProperty("weight").GetDouble()]))];

    // Node names of the authors' files are Python tuples, some of numbers that NumPy prints: (np.int64(0), np.int64(1)), (3, 0, 'IO').
    private static List<(string Text, double[] Numbers)> Graph(XDocument document)
    {
        XNamespace ns = "http://graphml.graphdrawing.org/xmlns";
        var names = document.Descendants(ns + "key").ToDictionary(k => k.Attribute("id")!.Value, k => k.Attribute("attr.name")!.Value);
        return
        [
            .. document.Descendants(ns + "node").Select(n => Of(Name(n.Attribute("id")!.Value), n)),
            .. document.Descendants(ns + "edge").Select(e => Of($"{Name(e.Attribute("source")!.Value)} to {Name(e.Attribute("target")!.Value)}", e)),
        ];

        static string Name(string id) => Regex.Replace(id, @"np\.int64\((\d+)\)", "$1").Trim('(', ')').Replace(", ", ".", StringComparison.Ordinal)
            .Replace("'", "", StringComparison.Ordinal);

        (string, double[]) Of(string name, XElement element)
        {
            var data = element.Elements(ns + "data").Select(d => (Name: names[d.Attribute("key")!.Value], d.Value)).OrderBy(d => d.Name, StringComparer.Ordinal).ToList();
            return (
                $"{name} {string.Join(' ', data.Where(d => d.Name is not ("weight" or "total")).Select(d => $"{d.Name}={d.Value}"))}",
                [.. data.Where(d => d.Name is "weight" or "total").Select(d => double.Parse(d.Value, System.Globalization.CultureInfo.InvariantCulture))]);
        }
    }

    // Text to the letter, numbers within the tolerance of the reference.
    private static void AssertSame(IEnumerable<(string Text, double[] Numbers)> expected, IEnumerable<(string Text, double[] Numbers)> found)
    {
        var (one, other) = (expected.OrderBy(e => e.Text, StringComparer.Ordinal).ToList(), found.OrderBy(e => e.Text, StringComparer.Ordinal).ToList());
        Assert.Equal(one.Select(e => e.Text), other.Select(e => e.Text));
        foreach (var ((text, numbers), (_, ours)) in one.Zip(other))
        {
            Assert.Equal(numbers.Length, ours.Length);
            Assert.All(numbers.Zip(ours), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= 1e-4 * Math.Abs(pair.First), $"{text}: {pair.Second}, not {pair.First}"));
        }
    }
}
