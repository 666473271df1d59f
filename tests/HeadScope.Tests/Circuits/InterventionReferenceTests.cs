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
            Assert.Equal(changed, result.Changed.Select(p => p.Prompt));
            Assert.Equal(reference.Prompts.Count, result.Prompts.Count);
            AssertRun(signal, result, p => p.After, Deltas("signal"), $"{run.Key} signal");
            AssertRun(random, result, p => p.Control, Deltas("random"), $"{run.Key} random");

            float[] Deltas(string what) => file.Values($"edge{run.Key.Edge}.{run.Key.Kind}.{what}.delta");
        }
    }

    private static InterventionResult Run(
        CircuitReference reference, JsonElement signal, JsonElement random, int[] changed, string kind, bool boosting)
    {
        var edge = new SignalEdge(
            HeadOf(signal.GetProperty("upstream")),
            HeadOf(signal.GetProperty("downstream")),
            signal.GetProperty("type").GetString() == "s" ? SignalSide.Source : SignalSide.Destination,
            signal.GetProperty("src_role").GetString()!,
            signal.GetProperty("dest_role").GetString()!);
        var options = InterventionOptions.Published with
        {
            Scope = kind == "A" ? InterventionScope.Global : InterventionScope.Local,
            Factor = boosting ? 2 : 0,
            BatchSize = 5,
        };
        var directions = random.GetProperty("random_directions");
        return CircuitsUnderTest.Intervene(
            reference.Model,
            reference.Prompts,
            [edge],
            options,
            firing => [.. directions[Array.IndexOf(changed, firing.Prompt)].EnumerateArray().Select(k => k.GetInt32())]);
    }

    private static void AssertRun(
        JsonElement golden, InterventionResult result, Func<PromptIntervention, InterventionMeasurement> measured, float[] deltas, string where)
    {
        var width = deltas.Length / result.Prompts.Count;
        for (var p = 0; p < result.Prompts.Count; p++)
        {
            var (before, after) = (result.Prompts[p].Before, measured(result.Prompts[p]));
            Assert.Equal(golden.GetProperty("logit_difference")[p].GetDouble(), before.LogitDifference, 1e-3);
            Assert.Equal(golden.GetProperty("score")[p].GetDouble(), before.Edges[0].Score, 1e-3);
            Near("logit_difference_after", after.LogitDifference);
            Near("score_after", after.Edges[0].Score);
            Near("norm_ratio", after.Edges[0].NormRatio);
            Near("cosine", after.Edges[0].Cosine);
            var norm = Math.Sqrt(deltas.Skip(p * width).Take(width).Sum(d => (double)d * d));
            Assert.True(Math.Abs(norm - after.Edges[0].ChangeNorm) < 1e-3, $"{where}, prompt {p}: norm {after.Edges[0].ChangeNorm}, not {norm}");

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
