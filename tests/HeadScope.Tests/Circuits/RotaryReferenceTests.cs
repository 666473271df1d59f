using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>A model with rotary positions and shared keys (SmolLM2): Ω depends on the relative position.</summary>
public class RotaryReferenceTests
{
    [Fact]
    public void Contributions_sparse_sets_and_upstream_numbers_equal_the_reference()
    {
        var folder = TestData.Shared("reference", "circuits", "rotary");
        using var model = Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "rotary.json")));
        var file = GoldenFile.Open(folder, "rotary.safetensors");
        int[] tokens = [.. document.RootElement.GetProperty("tokens").EnumerateArray().Select(t => t.GetInt32())];
        Assert.Equal(tokens, model.Tokenizer.Encode(document.RootElement.GetProperty("prompt").GetString()!));
        var prompts = new PromptSet("rotary", [new CircuitPrompt(tokens, [new("end", tokens.Length - 1)])]);
        var circuits = new CircuitsUnderTest(model, prompts);
        var firings = Signals.Find(model, prompts).Firings;
        foreach (var golden in document.RootElement.GetProperty("firings").EnumerateArray())
        {
            var head = new Head(golden.GetProperty("layer").GetInt32(), golden.GetProperty("head").GetInt32());
            var (destination, source) = (golden.GetProperty("dest").GetInt32(), golden.GetProperty("src").GetInt32());
            var score = golden.GetProperty("score_before_scaling").GetDouble();
            var omega = CircuitsUnderTest.Decompose(model, head, destination - source);
            Assert.Equal(64, omega.S.shape[0]);
            Assert.False(omega.HasConstant);
            var values = file.Values($"{head}.singular_values");
            var found = omega.S.Values<double>();
            for (var k = 0; k < values.Length; k++)
            {
                Assert.True(Math.Abs(values[k] - found[k]) <= 2e-6 * values[0], $"{head} s[{k}]");
            }

            // From the reference's own inputs, and from the model's.
            var contributions = file.Values($"{head}.contributions");
            var firing = firings.Single(f => f.Head == head && f.Destination == destination && f.Source == source);
            AssertClose(contributions, circuits.Contributions(firing, file.Values($"{head}.x_dest"), file.Values($"{head}.x_src")));
            AssertClose(contributions, circuits.Contributions(firing));
            Assert.Equal(golden.GetProperty("pattern").GetDouble(), firing.Pattern, 1e-4);
            Assert.Equal(score, firing.Score, 1e-4 * score);
            Assert.Equal(golden.GetProperty("directions").EnumerateArray().Select(k => k.GetInt32()), firing.Directions);
            Assert.Equal(golden.GetProperty("residual").GetDouble(), firing.Remainder, 1e-4 * score);
            var upstream = golden.GetProperty("upstream");
            var (ofSource, ofDestination) = Upstream.Of(model, prompts, [firing])[0];
            foreach (var (ours, name) in new[] { (ofSource, "src"), (ofDestination, "dest") })
            {
                float[] expected = [.. upstream.GetProperty(name).EnumerateArray().SelectMany(row => row.EnumerateArray().Select(v => v.GetSingle()))];
                UpstreamReferenceTests.AssertHeads(ours, expected, $"{head}");
                var rms = upstream.GetProperty($"{name}_rms").GetDouble();
                Assert.Equal(rms, ours.Scale, 1e-4 * rms);
                var signal = upstream.GetProperty($"{name}_signal").GetDouble();
                Assert.Equal(signal, ours.Total, 1e-3 * Math.Abs(signal));
            }

            void AssertClose(float[] expected, double[] found)
            {
                for (var k = 0; k < expected.Length; k++)
                {
                    Assert.True(Math.Abs(expected[k] - found[k]) <= 1e-4 * score, $"{head} c[{k}]: {found[k]}, not {expected[k]}");
                }
            }
        }
    }
}
