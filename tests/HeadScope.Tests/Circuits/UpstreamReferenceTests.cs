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
        var heads = reference.Model.Config.LayerCount * reference.Model.Config.HeadCount;
        for (var f = 0; f < firings.Count; f++)
        {
            var firing = firings[f];
            var where = $"{firing.Head} {firing.Destination} {firing.Source} in {firing.Prompt}";
            var ours = circuits.Contributions(firing);
            var rank = ours.Length;
            for (var k = 0; k < rank; k++)
            {
                Assert.True(Math.Abs(ours[k] - contributions[(f * rank) + k]) <= 1e-4 * Math.Max(1, firing.Signal.Score), where);
            }

            // Where the sparse set is a coin toss, so are the numbers that follow from it.
            if (golden[f].GetProperty("margin").GetDouble() < 1e-4)
            {
                continue;
            }

            AssertHeads(circuits, firing, SignalSide.Source, source.AsSpan(f * heads, heads), where);
            AssertHeads(circuits, firing, SignalSide.Destination, destination.AsSpan(f * heads, heads), where);
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
        var upstream = Assert.Single(SignalUpstream.Of(reference.Model, reference.Prompts, [firing]));
        foreach (var (side, ours) in new[] { ("src", upstream.Source), ("dest", upstream.Destination) })
        {
            var expected = golden.GetProperty(side);
            Assert.Equal(expected.GetProperty("position").GetInt32(), ours.Position);
            Assert.Equal(expected.GetProperty("ln_scale").GetDouble(), ours.Scale, 1e-5);
            Assert.Equal(expected.GetProperty("constant").GetDouble(), ours[new(ComponentKind.Constant)], 1e-4);
            var parts = expected.GetProperty("parts").EnumerateObject().ToList();
            Assert.Equal(parts.Count + 1, ours.Parts.Count);
            foreach (var part in parts)
            {
                Assert.Equal(part.Value.GetDouble(), ours[ComponentOf(part.Name)], 1e-4);
            }

            foreach (var split in expected.GetProperty("per_source_token").EnumerateObject())
            {
                var tokens = ours.PerSourceToken[HeadOf(split.Name)];
                Assert.Equal(ours.Position + 1, tokens.Count);
                foreach (var (value, own) in split.Value.EnumerateArray().Zip(tokens))
                {
                    Assert.Equal(value.GetDouble(), own, 1e-4);
                }

                Assert.Equal(ours[HeadOf(split.Name)], tokens.Sum(), 1e-4);
            }

            var sum = parts.Sum(p => p.Value.GetDouble()) + expected.GetProperty("constant").GetDouble();
            Assert.Equal(sum, ours.Total, 1e-4);
        }
    }

    internal static void AssertHeads(CircuitsUnderTest circuits, Firing firing, SignalSide side, ReadOnlySpan<float> expected, string where)
    {
        var heads = circuits.HeadsWithConstant(firing, side);
        var largest = 0.0;
        foreach (var value in expected)
        {
            largest = Math.Max(largest, Math.Abs(value));
        }

        for (var n = 0; n < heads.Count; n++)
        {
            Assert.True(Math.Abs(expected[n] - heads[n].Value) <= 1e-4 * largest, $"{where}, {side}, {heads[n].Key}: {heads[n].Value}, not {expected[n]}");
        }
    }

    private static Component ComponentOf(string name) => name.Split('.') switch
    {
        ["token_embedding"] => new Component(ComponentKind.TokenEmbedding),
        ["position_embedding"] => new Component(ComponentKind.PositionEmbedding),
        ["attention_bias", var layer] => new Component(ComponentKind.AttentionBias, Number(layer)),
        ["mlp", var layer] => new Component(ComponentKind.Mlp, Number(layer)),
        _ => HeadOf(name),
    };

    private static Head HeadOf(string name) => Head.Parse(name["head.".Length..]);

    private static int Number(string text) => int.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}
