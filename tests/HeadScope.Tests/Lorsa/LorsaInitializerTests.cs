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
        var p = new LorsaParameters(config);
        reference.Numbers("in.W_V_random").CopyTo(p.ValueWeight, 0);
        reference.Numbers("in.W_O_random").CopyTo(p.OutputWeight, 0);

        LorsaInitializer.CopyQueriesAndKeys(p, config, original, Math.Sqrt(config.ModelWidth) / norms[0], withBiases: false);
        LorsaReference.AssertClose(reference.Numbers("init.W_Q"), p.QueryWeight, 1e-6, "W_Q");
        LorsaReference.AssertClose(reference.Numbers("init.W_K"), p.KeyWeight, 1e-6, "W_K");

        for (var h = 0; h < original.Heads; h++)
        {
            var u = LorsaInitializer.ActiveSubspace(x, config.ModelWidth, original, h);
            LorsaReference.AssertClose(reference.Numbers($"svd.projector_head{h}"), Projector(u, config.ModelWidth), 5e-6, "The projector");
            LorsaReference.AssertClose(
                Array.ConvertAll(reference.Numbers($"in.svd_U_head{h}"), Math.Abs), Array.ConvertAll(u, Math.Abs), 1e-5, "|U|");
        }

        LorsaInitializer.UseSubspaces(
            p, config, original, [.. Enumerable.Range(0, original.Heads).Select(h => reference.Numbers($"in.svd_U_head{h}"))]);
        LorsaReference.AssertClose(reference.Numbers("init.W_V"), p.ValueWeight, 5e-6, "W_V");
        LorsaReference.AssertClose(reference.Numbers("init.W_O"), p.OutputWeight, 5e-6, "W_O");

        LorsaInitializer.CenterOutput(p, y, [.. Enumerable.Repeat(1f, y.Length / config.ModelWidth)]);
        LorsaReference.AssertClose(reference.Numbers("init.b_D"), p.OutputBias, 5e-6, "b_D");

        var tried = LorsaInitializer.FitOutputNorm(p, config, x, y, reference.Numbers("in.mask"), (int)reference.Shape("in.hook_in")[0]);
        var grid = reference.Json.GetProperty("grid_search");
        var expected = grid.GetProperty("coarse").EnumerateArray().Concat(grid.GetProperty("fine").EnumerateArray()).ToArray();
        Assert.Equal(expected.Length, tried.Count);
        foreach (var (pair, ours) in expected.Zip(tried))
        {
            Assert.Equal(pair[0].GetDouble(), ours.Norm, 1e-6);
            Assert.Equal(pair[1].GetDouble(), ours.Loss, pair[1].GetDouble() * 1e-5);
        }

        LorsaReference.AssertClose(reference.Numbers("init.W_O_after_grid"), p.OutputWeight, 1e-5, "W_O after the grid");
    }

    [Fact]
    public void The_tiled_start_equals_the_first_code()
    {
        using var reference = new LorsaReference("init", "lorsa_init_from_attention");
        var (config, original) = Setup(reference);
        var norms = reference.Json.GetProperty("avg_norm_masked_mean_l2");
        var p = new LorsaParameters(config);
        LorsaInitializer.CopyQueriesAndKeys(
            p, config, original, Math.Sqrt(config.ModelWidth) / norms.GetProperty("in").GetDouble(), withBiases: true, tiled: true);
        LorsaInitializer.CenterOutput(
            p, Scaled(reference.Numbers("in.hook_out"), norms.GetProperty("out").GetDouble(), config.ModelWidth), reference.Numbers("in.mask"));
        LorsaReference.AssertClose(reference.Numbers("init.W_Q"), p.QueryWeight, 1e-6, "W_Q");
        LorsaReference.AssertClose(reference.Numbers("init.W_K"), p.KeyWeight, 1e-6, "W_K");
        LorsaReference.AssertClose(reference.Numbers("init.b_Q"), p.QueryBias, 1e-6, "b_Q");
        LorsaReference.AssertClose(reference.Numbers("init.b_K"), p.KeyBias, 1e-6, "b_K");
        LorsaReference.AssertClose(reference.Numbers("init.b_O"), p.OutputBias, 5e-6, "b_O");
    }

    [Fact]
    public void Scaling_to_the_output_equals_the_first_code()
    {
        using var reference = new LorsaReference("exact", "lorsa_kwarmup_initscale_topk");
        var config = reference.Config;
        var p = reference.Parameters(config, "param");
        var y = reference.Numbers("norm.y");
        reference.Numbers("start.b_O").CopyTo(p.OutputBias, 0);
        // The scaling there runs with k of the first step.
        LorsaInitializer.ScaleToOutput(
            p, config with { TopK = 11 }, reference.Numbers("norm.x"), y, reference.Numbers("in.batch0.mask"), 2, withQueriesAndKeys: true);
        foreach (var tensor in p.All)
        {
            LorsaReference.AssertClose(reference.Numbers(reference.Name("start", tensor.Name)), tensor.Values, 1e-5, tensor.Name);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Random_starts_have_the_stated_spread(bool firstCode)
    {
        var config = new LorsaConfig { ModelWidth = 64, Heads = 512, QkHeads = 4, QkWidth = 16, ContextLength = 8 };
        var p = new LorsaParameters(config);
        LorsaInitializer.Randomize(p, config, 5, firstCode, 1);
        var bound = Math.Sqrt(6.0 / ((64 + 4) * 16));
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / (64 * 16)) : bound / Math.Sqrt(3), Spread(p.QueryWeight), 2e-3);
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / 64) : 1 / Math.Sqrt(512), Spread(p.ValueWeight), 2e-3);
        Assert.Equal(firstCode ? Math.Sqrt(2.0 / 64) : 1 / Math.Sqrt(64), Spread(p.OutputWeight), 2e-3);
        Assert.All(p.QueryBias, b => Assert.Equal(0, b));
    }

    private static double Spread(float[] values) => Math.Sqrt(values.Average(v => (double)v * v));

    private static (LorsaConfig Config, OriginalAttention Original) Setup(LorsaReference reference)
    {
        var config = reference.Config;
        var shape = reference.Shape("in.mhsa.W_Q");
        var bias = new float[shape[0] * shape[2]];
        var none = new float[shape[0] * shape[1] * shape[2]];
        return (config, new OriginalAttention
        {
            Heads = (int)shape[0],
            HeadWidth = (int)shape[2],
            Query = reference.Numbers("in.mhsa.W_Q"),
            Key = reference.Numbers("in.mhsa.W_K"),
            Value = reference.Has("in.mhsa.W_V") ? reference.Numbers("in.mhsa.W_V") : none,
            Output = reference.Has("in.mhsa.W_O") ? reference.Numbers("in.mhsa.W_O") : none,
            QueryBias = reference.Has("in.mhsa.b_Q") ? reference.Numbers("in.mhsa.b_Q") : bias,
            KeyBias = reference.Has("in.mhsa.b_K") ? reference.Numbers("in.mhsa.b_K") : bias,
        });
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
