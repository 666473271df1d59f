using System.Text.Json;

namespace HeadScope.Tests;

public class UpstreamReferenceTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Contributions_and_upstream_numbers_equal_the_reference(string name)
    {
        var reference = CircuitReference.Load(name);
        var firings = Signals.Find(reference.Model, reference.Prompts).Firings;
        var golden = reference.Json("firings.json").GetProperty("firings").EnumerateArray().ToList();
        var file = GoldenFile.Open(reference.Folder, "firings.safetensors");
        var (contributions, source, destination) = (file.Values("contributions"), file.Values("upstream_src"), file.Values("upstream_dest"));
        var circuits = new CircuitsUnderTest(reference.Model, reference.Prompts);
        var upstream = Upstream.Of(reference.Model, reference.Prompts, firings);
        var heads = reference.Model.Config.LayerCount * reference.Model.Config.HeadCount;
        for (var f = 0; f < firings.Count; f++)
        {
            var firing = firings[f];
            var where = $"{firing.Head} {firing.Destination} {firing.Source} in {firing.Prompt}";
            var ours = circuits.Contributions(firing);
            var rank = ours.Length;
            for (var k = 0; k < rank; k++)
            {
                Assert.True(Math.Abs(ours[k] - contributions[(f * rank) + k]) <= 1e-4 * Math.Max(1, firing.Score), where);
            }

            // Where the sparse set is a coin toss, so are the numbers that follow from it.
            if (golden[f].GetProperty("margin").GetDouble() < 1e-4)
            {
                continue;
            }

            AssertHeads(upstream[f].Source, source.AsSpan(f * heads, heads), where);
            AssertHeads(upstream[f].Destination, destination.AsSpan(f * heads, heads), where);
        }
    }

    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void All_components_of_a_signal_equal_the_reference_and_add_up(string name)
    {
        var reference = CircuitReference.Load(name);
        var golden = reference.Json("upstream_all_components.json");
        var key = golden.GetProperty("key").EnumerateArray().Select(k => k.GetInt32()).ToArray();
        var firing = Signals.Find(reference.Model, reference.Prompts).Firings
            .Single(f => (f.Prompt, f.Head.Layer, f.Head.Index, f.Destination, f.Source) == (key[0], key[1], key[2], key[3], key[4]));
        var upstream = Assert.Single(Upstream.Of(reference.Model, reference.Prompts, [firing]));
        foreach (var (side, ours) in new[] { ("src", upstream.Source), ("dest", upstream.Destination) })
        {
            var expected = golden.GetProperty(side);
            Assert.Equal(expected.GetProperty("position").GetInt32(), ours.Position);
            Assert.Equal(expected.GetProperty("ln_scale").GetDouble(), ours.Scale, 1e-5);
            Assert.Equal(expected.GetProperty("constant").GetDouble(), ours["constant"], 1e-4);
            var parts = expected.GetProperty("parts").EnumerateObject().ToList();
            Assert.Equal(parts.Count + 1, ours.Components.Count);
            foreach (var part in parts)
            {
                Assert.Equal(part.Value.GetDouble(), ours[NameOf(part.Name)], 1e-4);
            }

            foreach (var split in expected.GetProperty("per_source_token").EnumerateObject())
            {
                var head = Head.Parse(split.Name["head.".Length..]);
                using var scope = TorchSharp.torch.NewDisposeScope();
                var tokens = ours.PerSourceToken[head.Layer, head.Index].clone().Values<double>();
                Assert.Equal(ours.Position + 1, tokens.Length);
                foreach (var (value, own) in split.Value.EnumerateArray().Zip(tokens))
                {
                    Assert.Equal(value.GetDouble(), own, 1e-4);
                }

                Assert.Equal(ours[$"{head}"], tokens.Sum(), 1e-4);
            }

            var sum = parts.Sum(p => p.Value.GetDouble()) + expected.GetProperty("constant").GetDouble();
            Assert.Equal(sum, ours.Total, 1e-4);
        }
    }

    internal static void AssertHeads(Upstream upstream, ReadOnlySpan<float> expected, string where)
    {
        var heads = CircuitsUnderTest.HeadsWithConstant(upstream);
        var largest = 0.0;
        foreach (var value in expected)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        for (var n = 0; n < heads.Length; n++)
        {
            Assert.True(Math.Abs(expected[n] - heads[n]) <= 1e-4 * largest, $"{where}, {upstream.Side}, {n}: {heads[n]}, not {expected[n]}");
        }
    }

    private static string NameOf(string name) => name.Split('.') switch
    {
        ["token_embedding"] => "embedding",
        ["position_embedding"] => "position",
        ["attention_bias", var layer] => $"b_O {layer}",
        ["mlp", var layer] => $"mlp {layer}",
        _ => name["head.".Length..],
    };
}
