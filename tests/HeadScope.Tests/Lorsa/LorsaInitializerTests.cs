namespace HeadScope.Tests;

/// <summary>The start from the attention, step by step, against both official codes.</summary>
public class LorsaInitializerTests
{
    [Fact]
    public void The_start_from_the_attention_equals_the_official_code()
    {
        using var reference = new LorsaReference("init", "llamascopium_init_from_attention");
        var (config, original) = Setup(reference);
        var norms = reference.Json.GetProperty("norm_unmasked_mean_l2").EnumerateObject().Select(p => p.Value.GetDouble()).ToArray();
        var x = Scaled(reference.Numbers("in.hook_in"), norms[0], config.ModelWidth);
        var y = Scaled(reference.Numbers("in.hook_out"), norms[1], config.ModelWidth);
        var p = LorsaUnderTest.Zeros(config);
        p["W_V"] = reference.Numbers("in.W_V_random");
        p["W_O"] = reference.Numbers("in.W_O_random");

        p = LorsaUnderTest.CopyQueriesAndKeys(config, p, original, Math.Sqrt(config.ModelWidth) / norms[0]);
        LorsaReference.AssertClose(reference.Numbers("init.W_Q"), p["W_Q"], 1e-6, "W_Q");
        LorsaReference.AssertClose(reference.Numbers("init.W_K"), p["W_K"], 1e-6, "W_K");

        for (var h = 0; h < original.Heads; h++)
        {
            var u = LorsaUnderTest.ActiveSubspace(config, x, original, h);
            LorsaReference.AssertClose(reference.Numbers($"svd.projector_head{h}"), Projector(u, config.ModelWidth), 5e-6, "The projector");
            LorsaReference.AssertClose(
                Array.ConvertAll(reference.Numbers($"in.svd_U_head{h}"), Math.Abs), Array.ConvertAll(u, Math.Abs), 1e-5, "|U|");
        }

        p = LorsaUnderTest.UseSubspaces(
            config, p, original, [.. Enumerable.Range(0, original.Heads).Select(h => reference.Numbers($"in.svd_U_head{h}"))]);
        LorsaReference.AssertClose(reference.Numbers("init.W_V"), p["W_V"], 5e-6, "W_V");
        LorsaReference.AssertClose(reference.Numbers("init.W_O"), p["W_O"], 5e-6, "W_O");

        p = LorsaUnderTest.CenterOutput(config, p, y, [.. Enumerable.Repeat(1f, y.Length / config.ModelWidth)]);
        LorsaReference.AssertClose(reference.Numbers("init.b_D"), p["b_D"], 5e-6, "b_D");

        (p, var tried) = LorsaUnderTest.FitOutputNorm(config, p, x, y, reference.Numbers("in.mask"), reference.Shape("in.hook_in")[0]);
        var grid = reference.Json.GetProperty("grid_search");
        var expected = grid.GetProperty("coarse").EnumerateArray().Concat(grid.GetProperty("fine").EnumerateArray()).ToArray();
        Assert.Equal(expected.Length, tried.Count);
        foreach (var (pair, ours) in expected.Zip(tried))
        {
            Assert.Equal(pair[0].GetDouble(), ours.Norm, 1e-6);
            Assert.Equal(pair[1].GetDouble(), ours.Loss, pair[1].GetDouble() * 1e-5);
        }

        LorsaReference.AssertClose(reference.Numbers("init.W_O_after_grid"), p["W_O"], 1e-5, "W_O after the grid");
    }

    [Fact]
    public void The_start_from_the_attention_equals_the_first_code()
    {
        using var reference = new LorsaReference("init", "lorsa_init_from_attention");
        var (config, original) = Setup(reference);
        var norms = reference.Json.GetProperty("avg_norm_masked_mean_l2");
        var p = LorsaUnderTest.CopyQueriesAndKeys(
            config, LorsaUnderTest.Zeros(config), original, Math.Sqrt(config.ModelWidth) / norms.GetProperty("in").GetDouble());
        p = LorsaUnderTest.CenterOutput(
            config, p, Scaled(reference.Numbers("in.hook_out"), norms.GetProperty("out").GetDouble(), config.ModelWidth), reference.Numbers("in.mask"));
        foreach (var name in new[] { "W_Q", "W_K", "b_Q", "b_K" })
        {
            // There the heads of the layer repeat as 0, 1, 2, 0, 1, 2, here as 0, 0, 1, 1, 2, 2.
            var heads = reference.Numbers($"init.{name}").Chunk(p[name].Length / config.QkHeads).ToArray();
            var times = config.QkHeads / original.Heads;
            Assert.True(times > 1);
            LorsaReference.AssertClose(
                [.. Enumerable.Range(0, config.QkHeads).SelectMany(j => heads[(j / times) + (j % times * original.Heads)])], p[name], 1e-6, name);
        }

        LorsaReference.AssertClose(reference.Numbers("init.b_O"), p["b_D"], 5e-6, "b_O");
    }

    [Fact]
    public void Scaling_to_the_output_equals_the_first_code()
    {
        using var reference = new LorsaReference("exact", "lorsa_kwarmup_initscale_topk");
        var config = reference.Config;
        var p = reference.Parameters(config, "param");
        var y = reference.Numbers("norm.y");
        p["b_D"] = reference.Numbers("start.b_O");
        // The scaling there runs with k of the first step.
        p = LorsaUnderTest.ScaleToOutput(
            config with { TopK = 11 }, p, reference.Numbers("norm.x"), y, reference.Numbers("in.batch0.mask"), 2, withQueriesAndKeys: true);
        foreach (var (name, values) in p)
        {
            LorsaReference.AssertClose(reference.Numbers(reference.Name("start", name)), values, 1e-5, name);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Random_starts_have_the_stated_spread(bool firstCode)
    {
        var config = new LorsaConfig { ModelWidth = 64, Heads = 512, QkHeads = 4, QkWidth = 16, ContextLength = 8 };
        var p = LorsaUnderTest.Random(config, 5, firstCode);
        var bound = Math.Sqrt(6.0 / ((64 + 4) * 16));
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / (64 * 16)) : bound / Math.Sqrt(3), Spread(p["W_Q"]), 2e-3);
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / 64) : 1 / Math.Sqrt(512), Spread(p["W_V"]), 2e-3);
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / 64) : 1 / Math.Sqrt(64), Spread(p["W_O"]), 2e-3);
        Assert.All(p["b_Q"], b => Assert.Equal(0, b));
    }

    private static double Spread(float[] values) => Math.Sqrt(values.Average(v => (double)v * v));

    private static (LorsaConfig Config, AttentionWeights Original) Setup(LorsaReference reference)
    {
        var config = reference.Config;
        var shape = reference.Shape("in.mhsa.W_Q");
        var bias = new float[shape[0] * shape[2]];
        var none = new float[shape[0] * shape[1] * shape[2]];
        return (config, new AttentionWeights(
            shape[0], shape[2], reference.Numbers("in.mhsa.W_Q"), reference.Numbers("in.mhsa.W_K"), Or("W_V", none), Or("W_O", none),
            Or("b_Q", bias), Or("b_K", bias)));

        float[] Or(string name, float[] otherwise) => reference.Has($"in.mhsa.{name}") ? reference.Numbers($"in.mhsa.{name}") : otherwise;
    }

    private static float[] Projector(float[] u, int d)
    {
        var e = u.Length / d;
        var projector = new float[d * d];
        for (var i = 0; i < d; i++)
        {
            for (var j = 0; j < d; j++)
            {
                projector[(i * d) + j] = (float)Enumerable.Range(0, e).Sum(c => (double)u[(i * e) + c] * u[(j * e) + c]);
            }
        }

        return projector;
    }

    private static float[] Scaled(float[] values, double norm, int width) =>
        Array.ConvertAll(values, v => (float)(v * Math.Sqrt(width) / norm));
}
