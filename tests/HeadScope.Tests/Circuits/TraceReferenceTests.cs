using System.Text.Json;
using Microsoft.Data.Analysis;

namespace HeadScope.Tests;

public class TraceReferenceTests
{
    [Theory]
    [InlineData("tiny", true)]
    [InlineData("demo", true)]
    [InlineData("tiny", false)]
    [InlineData("demo", false)]
    public void The_traced_graph_equals_the_reference(string name, bool published)
    {
        var reference = CircuitReference.Load(name);
        var golden = reference.Json(published ? "graph.json" : "graph_once_per_prompt.json");
        var trace = Trace(reference, golden, published);
        var expected = golden.GetProperty("edges").EnumerateArray()
            .Where(e => e.GetProperty("from").GetString()!.Count(c => c == '.') == 1)
            .ToDictionary(e => (e.GetProperty("from").GetString()!, e.GetProperty("to").GetString()!));
        Assert.Equal(
            expected.Keys.Order(),
            trace.Edges.Select(e => (e.Sender!, $"{e.Receiver}.{e.Role}")).Order());
        foreach (var edge in trace.Edges)
        {
            var other = expected[(edge.Sender!, $"{edge.Receiver}.{edge.Role}")];
            Assert.Equal(other.GetProperty("count").GetInt64(), edge.Count);
            var weight = other.GetProperty("weight").GetDouble();
            Assert.True(Math.Abs(weight - edge.Weight) <= 1e-4 * Math.Max(1, Math.Abs(weight)), $"{edge}: {weight}");
            Assert.Equal(other.GetProperty("type").GetString(), edge.Side == SignalSide.Source ? "s" : "d");
            if (published)
            {
                Assert.Equal(other.GetProperty("src_token").GetString(), edge.SourceRole);
                Assert.Equal(other.GetProperty("dest_token").GetString(), edge.DestinationRole);
                Assert.Equal(other.GetProperty("prompt").GetInt32(), edge.FirstPrompt);
            }
        }
    }

    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Each_prompt_traces_back_the_same_steps_as_often(string name)
    {
        var reference = CircuitReference.Load(name);
        var trace = Trace(reference, reference.Json("graph.json"), published: true);
        var found = trace.Steps.Rows.GroupBy(Root).ToList();

        // The reference also lists roots that do not fire, with no steps.
        var expected = reference.Json("traces.json").EnumerateArray().Where(t => Int(t, "edges_with_repeats") > 0).ToList();
        Assert.Equal(
            expected.Select(t => (Int(t, "prompt"), $"{Head(t.GetProperty("root"))}", Int(t, "dest"), Int(t, "src"))), found.Select(steps => steps.Key));
        foreach (var (golden, ours) in expected.Zip(found))
        {
            Assert.Equal(golden.GetProperty("edges_with_repeats").GetInt64(), ours.Sum(Repeats));
            var prompt = reference.Prompts.Prompts[ours.Key.Prompt];
            Assert.Equal(
                golden.GetProperty("labelled_with_repeats").GetInt64(),
                ours.Where(s => prompt.RoleAt((int)s[$"{s["side"]}".ToLowerInvariant()]) is not null).Sum(Repeats));
            var steps = golden.GetProperty("edges").EnumerateArray().ToList();
            Assert.Equal(
                steps.Select(s => ($"{s[0]}.{s[1]}", $"{s[2]}.{s[3]}", s[4].GetInt32(), s[5].GetInt32(), s[7].GetString()!)),
                ours.Select(s => ((string)s["receiver"], (string)s["sender"], (int)s["source"], (int)s["destination"], (string)s["side"] == "Source" ? "s" : "d")));
            foreach (var (step, own) in steps.Zip(ours))
            {
                Assert.True(Math.Abs(step[6].GetDouble() - (double)own["value"]) <= 1e-4 * Math.Max(1, Math.Abs(step[6].GetDouble())), $"{own}");
            }
        }

        static (int Prompt, string Root, int Destination, int Source) Root(DataFrameRow step) =>
            ((int)step["prompt"], (string)step["root"], (int)step["root_destination"], (int)step["root_source"]);

        static long Repeats(DataFrameRow step) => (long)step["repeats"];
    }

    internal static Circuit Trace(CircuitReference reference, JsonElement golden, bool published) => Circuit.Trace(
        reference.Model,
        reference.Prompts,
        TraceOptions.Published with
        {
            CountRepeats = published,
            Roots = [.. golden.GetProperty("roots").EnumerateArray().Select(Head)],
            RootSource = reference.Prompts.Name == "tiny" ? null : "IO",
        });

    private static int Int(JsonElement element, string name) => element.GetProperty(name).GetInt32();

    private static Head Head(JsonElement pair) => new(pair[0].GetInt32(), pair[1].GetInt32());
}
