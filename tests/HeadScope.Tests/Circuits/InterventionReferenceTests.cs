using System.Text.Json;

namespace HeadScope.Tests;

public class InterventionReferenceTests
{
    [Theory]
    [InlineData("tiny")]
    [InlineData("demo")]
    public void Scores_and_answers_after_interventions_equal_the_reference(string name)
    {
        var reference = CircuitReference.Load(name);
        var file = GoldenFile.Open(reference.Folder, "interventions.safetensors");
        var runs = reference.Json("interventions.json").EnumerateArray()
            .GroupBy(run => (Edge: Int(run, "edge"), Kind: run.GetProperty("kind").GetString()!, Boosting: run.GetProperty("boosting").GetBoolean()));
        foreach (var run in runs)
        {
            var signal = run.Single(r => !r.GetProperty("random").GetBoolean());
            var random = run.Single(r => r.GetProperty("random").GetBoolean());
            int[] changed = [.. signal.GetProperty("prompts").EnumerateArray().Select(p => p.GetInt32())];
            var result = Run(reference, signal, random, changed, run.Key.Kind, run.Key.Boosting);
            Assert.Equal(changed, result.Changed);
            Assert.Equal([3, reference.Prompts.Count, 1], result.Scores.shape);
            AssertRun(signal, result, 1, Deltas("signal"), $"{run.Key} signal");
            AssertRun(random, result, 2, Deltas("random"), $"{run.Key} random");

            float[] Deltas(string what) => file.Values($"edge{run.Key.Edge}.{run.Key.Kind}.{what}.delta");
        }
    }

    private static Intervention Run(
        CircuitReference reference, JsonElement signal, JsonElement random, int[] changed, string kind, bool boosting)
    {
        var edge = new CircuitEdge(
            HeadOf(signal.GetProperty("upstream")).ToString(),
            HeadOf(signal.GetProperty("downstream")),
            signal.GetProperty("type").GetString() == "s" ? SignalSide.Source : SignalSide.Destination,
            signal.GetProperty("src_role").GetString()!,
            signal.GetProperty("dest_role").GetString()!);
        var directions = random.GetProperty("random_directions");
        return CircuitsUnderTest.Intervene(
            reference.Model,
            reference.Prompts,
            [edge],
            boosting ? 2 : 0,
            local: kind != "A",
            firing => [.. directions[Array.IndexOf(changed, firing.Prompt)].EnumerateArray().Select(k => k.GetInt32())]);
    }

    private static void AssertRun(JsonElement golden, Intervention result, int state, float[] deltas, string where)
    {
        var prompts = (int)result.Scores.shape[1];
        var width = deltas.Length / prompts;
        var (differences, scores) = (result.LogitDifferences.Values<double>(), result.Scores.Values<double>());
        var (ratios, cosines, norms) = (result.NormRatios.Values<double>(), result.Cosines.Values<double>(), result.ChangeNorms.Values<double>());
        for (var p = 0; p < prompts; p++)
        {
            Near("logit_difference", differences[p]);
            Near("score", scores[p]);
            var at = (state * prompts) + p;
            Near("logit_difference_after", differences[at]);
            Near("score_after", scores[at]);
            Near("norm_ratio", ratios[at]);
            Near("cosine", cosines[at]);
            var norm = Math.Sqrt(deltas.Skip(p * width).Take(width).Sum(d => (double)d * d));
            Assert.True(Math.Abs(norm - norms[at]) < 1e-3, $"{where}, prompt {p}: norm {norms[at]}, not {norm}");

            void Near(string field, double value)
            {
                var expected = golden.GetProperty(field)[p].GetDouble();
                Assert.True(Math.Abs(expected - value) < 1e-3, $"{where}, prompt {p}, {field}: {value}, not {expected}");
            }
        }
    }

    private static Head HeadOf(JsonElement pair) => new(pair[0].GetInt32(), pair[1].GetInt32());

    private static int Int(JsonElement element, string name) => element.GetProperty(name).GetInt32();
}
