namespace HeadScope.Tests;

public class LorsaEvaluationTests
{
    [Fact]
    public void Metrics_equal_the_reference()
    {
        using var reference = new LorsaReference("eval", "llamascopium_eval_tiny");
        var lorsa = Tiny(reference);
        var evaluation = LorsaUnderTest.Evaluate(lorsa, Batches(reference));
        var pooled = reference.Json.GetProperty("pooled");
        var official = reference.Json.GetProperty("official_metrics_averaged_over_batches");
        Assert.Equal(pooled.GetProperty("ev").GetDouble(), evaluation.ExplainedVariance, 1e-5);
        Assert.Equal(pooled.GetProperty("ev_per_token_mean").GetDouble(), evaluation.ExplainedVarianceByToken, 1e-5);
        Assert.Equal(pooled.GetProperty("nmse").GetDouble(), evaluation.NormalizedError, 1e-5);
        Assert.Equal(pooled.GetProperty("l0").GetDouble(), evaluation.ActiveHeads, 1e-9);
        Assert.Equal(pooled.GetProperty("dead_fraction").GetDouble(), evaluation.DeadFraction, 1e-9);
        Assert.Equal(pooled.GetProperty("l2_per_token").GetDouble(), evaluation.SquaredError, 1e-4);
        Assert.Equal(evaluation.ActiveHeads, evaluation.Frequencies.Values().Sum(f => (double)f), 1e-5);
        Assert.Equal(evaluation.Frequencies.Values(), evaluation.Table["frequency"].Cast<float>());
        Assert.Equal(pooled.GetProperty("never_active_heads").EnumerateArray().Select(h => h.GetInt32()), evaluation.DeadHeads);

        // What the official code averages over batches, averaged the same way here (its EV with the mean of each batch).
        var batches = Batches(reference).Select(batch => LorsaUnderTest.Evaluate(lorsa, [batch])).ToArray();
        Assert.Equal(official.GetProperty("metrics/explained_variance").GetDouble(), batches.Average(b => b.ExplainedVariance), 1e-5);
        Assert.Equal(official.GetProperty("metrics/explained_variance_legacy").GetDouble(), batches.Average(b => b.ExplainedVarianceByToken), 1e-5);
        Assert.Equal(official.GetProperty("metrics/l2_norm_error").GetDouble(), batches.Average(b => b.ErrorNorm), 1e-5);
        Assert.Equal(official.GetProperty("metrics/l2_norm_error_ratio").GetDouble(), batches.Average(b => b.ErrorNormRatio), 1e-5);
        Assert.Equal(official.GetProperty("metrics/mean_feature_act").GetDouble(), batches.Average(b => b.MeanActivation), 1e-5);
    }

    [Fact]
    public void Z_patterns_equal_the_reference_and_sum_to_z()
    {
        using var reference = new LorsaReference("eval", "llamascopium_eval_tiny");
        var lorsa = Tiny(reference);
        var (n, length) = (lorsa.Config.Heads, 12);
        var first = reference.Numbers("in.hook_in").AsSpan(0, 4 * length * lorsa.Config.ModelWidth).ToArray();
        var activations = lorsa.Encode(new NumberArray(first, [4, length, lorsa.Config.ModelWidth]).ToTensor());
        var before = activations.PreActivations.ToNumberArray();
        var actual = new float[4 * n * length * length];
        for (var c = 0; c < 4; c++)
        {
            for (var i = 0; i < n; i++)
            {
                var pattern = activations.ZPattern(i)[c].Values();
                for (var t = 0; t < length; t++)
                {
                    var row = pattern.AsSpan(t * length, length).ToArray();
                    row.CopyTo(actual, ((((c * n) + i) * length) + t) * length);
                    Assert.Equal(before[c, t, i], row.Sum(), 1e-4);
                }
            }
        }

        LorsaReference.AssertClose(reference.Numbers("zpattern.contexts0to3"), actual, 5e-6, "The z-pattern");
    }

    internal static Lorsa Tiny(LorsaReference reference)
    {
        var config = reference.Config;
        var norms = reference.Json.GetProperty("dataset_average_activation_norm").EnumerateObject().Select(p => p.Value.GetDouble()).ToArray();
        return LorsaUnderTest.Create(config, reference.Parameters(config, "param"), false, norms[0], norms[1]);
    }

    internal static IEnumerable<ActivationBatch> Batches(LorsaReference reference)
    {
        const int Contexts = 4, Length = 12;
        var batches = reference.Shape("in.mask")[0] / Contexts;
        return Enumerable.Range(0, batches).Select(b => new ActivationBatch(Part("in.hook_in", b), Part("in.hook_out", b), Part("in.mask", b), Part("in.tokens", b)));

        TorchSharp.torch.Tensor Part(string name, int b) =>
            TorchSharp.torch.tensor(reference.Numbers(name)).view(batches, Contexts, Length, -1)[b].squeeze(-1);
    }
}
