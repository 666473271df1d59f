using System.Text.Json;

namespace HeadScope.Tests;

public class FiringReferenceTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Firings_and_their_sparse_sets_equal_the_reference(string name)
    {
        var reference = CircuitReference.Load(name);
        var golden = reference.Json("firings.json").GetProperty("firings").EnumerateArray().ToList();
        var signals = Signals.Find(reference.Model, reference.Prompts);
        Assert.Equal(golden.Select(Key), signals.Firings.Select(f => (f.Prompt, f.Head, f.Destination, f.Source)));
        foreach (var (expected, firing) in golden.Zip(signals.Firings))
        {
            var where = $"{Key(expected)}";
            var score = expected.GetProperty("score_before_scaling").GetDouble();
            var tolerance = 1e-4 * Math.Max(1, Math.Abs(score));
            Assert.True(Math.Abs(score - firing.Score) <= tolerance, where);
            Assert.True(Math.Abs(expected.GetProperty("pattern").GetDouble() - firing.Pattern) < 1e-5, where);
            if (expected.GetProperty("margin").GetDouble() < 1e-4)
            {
                continue;
            }

            Assert.Equal(expected.GetProperty("directions").EnumerateArray().Select(k => k.GetInt32()), firing.Directions);
            foreach (var (contribution, ours) in expected.GetProperty("contributions").EnumerateArray().Zip(firing.Contributions))
            {
                Assert.True(Math.Abs(contribution.GetDouble() - ours) <= tolerance, where);
            }

            Assert.True(Math.Abs(expected.GetProperty("residual").GetDouble() - firing.Remainder) <= tolerance, where);
            foreach (var (magnitude, ours) in expected.GetProperty("magnitudes").EnumerateArray().Zip(firing.Magnitudes))
            {
                Assert.True(Math.Abs(magnitude.GetDouble() - ours) <= 1e-5 * magnitude.GetDouble(), where);
            }
        }
    }

    private static (int Prompt, Head Head, int Destination, int Source) Key(JsonElement firing) =>
        (Int(firing, "prompt"), new(Int(firing, "layer"), Int(firing, "head")), Int(firing, "dest"), Int(firing, "src"));

    private static int Int(JsonElement element, string name) => element.GetProperty(name).GetInt32();
}
