namespace HeadScope.Tests;

/// <summary>Forward pass, losses, gradients and training steps against both official codes, run in fp64.</summary>
public class LorsaExactTests
{
    private const string Nopos = "nopos_topk", Partial = "rotary_partial_topk", Llama3 = "rotary_llama3_topk", Adjacent = "rotary_adjacent_topk";

    public static TheoryData<string> Cases => new(
        from name in new[]
        {
            Nopos, Partial, Llama3, Adjacent, "rotary_scale2_topk", "kwarmup_topk", "plain_topk_no_decoder_norm", "no_decoder_bias_topk",
            "qk_rmsnorm_topk", "one_qk_per_ov_topk", "batchtopk", "relu_power1", "relu_tanh", "relu_tanhquad", "jumprelu_tanhquad_lp",
            "auxk_topk", "clip_topk", "sparseadam_topk",
        }
        select $"llamascopium_{name}");

    public static TheoryData<string> FirstCodeCases => new(
        from name in new[] { Nopos, Partial, Llama3, Adjacent, "relu_topk", "kwarmup_initscale_topk", "jumprelu_mode_forward" }
        select $"lorsa_{name}");

    [Theory]
    [MemberData(nameof(Cases))]
    [MemberData(nameof(FirstCodeCases))]
    public void Activations_equal_the_official_code(string name)
    {
        using var reference = new LorsaReference("exact", name);
        var config = reference.Config;
        var parameters = reference.Parameters(config, "param");
        var shape = reference.Shape("norm.x");
        var k = reference.Json.GetProperty("reference").GetProperty("k").GetInt32();
        var pass = LorsaUnderTest.Forward(config, parameters, reference.Numbers("norm.x"), shape[0], shape[1], k);
        var (n, tokens) = (config.Heads, shape[0] * shape[1]);
        AssertActivation(reference, "act.q_rot", pass.Queries);
        AssertActivation(reference, "act.k_rot", pass.Keys);
        AssertActivation(reference, "act.v", pass.Values);
        AssertActivation(reference, "act.pattern", pass.Patterns);
        AssertActivation(reference, "act.z_pre", pass.PreActivations);
        AssertActivation(reference, "act.recon", pass.Reconstruction);
        var (z, score, active) = (new float[tokens * n], new float[tokens * n], new float[tokens * n]);
        for (var t = 0; t < tokens; t++)
        {
            foreach (var (head, value, _) in pass.Heads[t])
            {
                var at = (t * n) + head;
                z[at] = value;
                active[at] = 1;
                score[at] = Math.Abs(value) * pass.OutputNorms[head];
            }
        }

        Assert.Equal(reference.Numbers("act.active"), active);
        if (reference.Has("act.z"))
        {
            AssertActivation(reference, "act.z", z);
            AssertActivation(reference, "act.decoder_norm", pass.OutputNorms);
        }
        else
        {
            AssertActivation(reference, "act.l1", score);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    [MemberData(nameof(FirstCodeCases))]
    public void Loss_and_gradients_equal_the_official_code(string name)
    {
        using var reference = new LorsaReference("exact", name);
        var expected = reference.Json.GetProperty("reference");
        var config = reference.Config;
        var parameters = reference.Parameters(config, "param");
        var objective = Objective(reference, name);
        var shape = reference.Shape("norm.x");
        var dead = reference.Has("aux.is_dead") ? Array.ConvertAll(reference.Numbers("aux.is_dead"), d => d != 0) : null;
        var penalty = expected.TryGetProperty("l1_coefficient", out var c) ? c.GetDouble() : 0;
        CheckGradient(byDefinition: true);
        if (LorsaUnderTest.SparsePassSuits(config, shape[0], shape[1]) && penalty == 0 && dead is null)
        {
            CheckGradient(byDefinition: false);
        }

        void CheckGradient(bool byDefinition)
        {
            var (loss, gradient, _, _) = LorsaUnderTest.Gradient(
                config, parameters, reference.Numbers("norm.x"), reference.Numbers("norm.y"), reference.Numbers("in.batch0.mask"), shape[0], shape[1],
                expected.GetProperty("k").GetInt32(), objective, penalty, dead, byDefinition);

            AssertRelative(Number("loss") ?? Number("mse_loss"), loss.Total, "loss");
            AssertRelative(Number("l_rec"), loss.Reconstruction, "reconstruction");
            AssertRelative(Number("l_p"), loss.Threshold, "threshold penalty");
            AssertRelative(Number("l_aux"), loss.Auxiliary, "auxiliary loss");
            foreach (var (tensor, values) in gradient)
            {
                var golden = reference.Numbers(reference.Name("grad", tensor));
                if (string.Equals(tensor, "b_K", StringComparison.Ordinal) && golden.All(g => Math.Abs(g) < 1e-6))
                {
                    // Exactly zero without rotation; what is left is rounding.
                    Assert.All(values, g => Assert.InRange(g, -1e-5f, 1e-5f));
                    continue;
                }

                LorsaReference.AssertClose(golden, values, 1e-5, $"The gradient of {tensor}");
            }
        }

        double? Number(string field) => expected.TryGetProperty(field, out var value) && value.ValueKind != System.Text.Json.JsonValueKind.Null
            ? value.GetDouble()
            : null;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Three_steps_equal_the_official_training(string name)
    {
        using var reference = new LorsaReference("exact", name);
        var config = reference.Config;
        var silent = reference.Has("aux.tokens_since_last_activation")
            ? Array.ConvertAll(reference.Numbers("aux.tokens_since_last_activation"), since => (long)since)
            : null;
        using var training = new LorsaUnderTest.Training(config, reference.Parameters(config, "param"), Rules(reference, name, byTokens: false), silent);

        var norms = reference.Json.GetProperty("dataset_average_activation_norm").EnumerateObject().ToDictionary(
            p => p.Name.EndsWith("attn_out", StringComparison.Ordinal) ? "out" : "in", p => p.Value.GetDouble());
        AssertTraining(reference, name, config, training, norms, "param");
    }

    [Theory]
    [MemberData(nameof(FirstCodeCases))]
    public void Three_steps_equal_the_training_of_the_first_code(string name)
    {
        Assert.SkipWhen(name.EndsWith("_forward", StringComparison.Ordinal), "This case has a forward pass and gradients only.");
        using var reference = new LorsaReference("exact", name);
        var config = reference.Config;
        using var training = new LorsaUnderTest.Training(config, reference.Parameters(config, "start"), Rules(reference, name, byTokens: true));
        var norms = reference.Json.GetProperty("avg_norm").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetDouble());
        AssertTraining(reference, name, config, training, norms, "start");
    }

    private static LorsaTrainingOptions Objective(LorsaReference reference, string name)
    {
        if (name.StartsWith("lorsa_", StringComparison.Ordinal))
        {
            return new LorsaTrainingOptions { FirstCode = true };
        }

        var coefficient = reference.Number("l1_coefficient", 0);
        return new LorsaTrainingOptions
        {
            Penalty = coefficient == 0 ? "none" : reference.Text("sparsity_loss_type", "none"),
            PenaltyCoefficient = coefficient,
            Power = reference.Number("p", 1),
            TanhStretch = reference.Number("tanh_stretch_coefficient", 4),
            FrequencyScale = reference.Number("frequency_scale", 0.01),
            ThresholdCoefficient = reference.Number("lp_coefficient", 0),
            AuxiliaryCoefficient = reference.Number("auxk_coefficient", 0),
            AuxiliaryHeads = (int)reference.Number("k_aux", 512),
            DeadAfterTokens = (long)reference.Number("dead_threshold", 1e7),
        };
    }

    // Steps of one token, so that the tokens of a training are its steps.
    private static LorsaTrainingOptions Rules(LorsaReference reference, string name, bool byTokens) => Objective(reference, name) with
    {
        BatchSequences = 1,
        ContextLength = 1,
        Tokens = (long)reference.Number(byTokens ? "total_tokens" : "total_training_steps", 0),
        LearningRate = reference.Number(byTokens ? "learning_rate" : "lr", 0),
        LearningRateWarmUp = reference.Number(byTokens ? "lr_warm_up_tokens" : "lr_warm_up_steps", 0),
        LearningRateCoolDown = reference.Number(byTokens ? "lr_cool_down_tokens" : "lr_cool_down_steps", 0),
        LearningRateEnd = byTokens
            ? reference.Number("final_learning_rate", 0) / reference.Number("learning_rate", 1)
            : reference.Number("lr_end_ratio", 0),
        InitialTopK = (int)reference.Number(byTokens ? "start_k" : "initial_k", 0),
        TopKWarmUp = reference.Number(byTokens ? "k_warm_up_tokens" : "k_warmup_steps", 0),
        PenaltyWarmUp = reference.Number("l1_coefficient_warmup_steps", 0),
        SparseAdam = reference.Text("optimizer_class", "adam") == "sparseadam",
        ClipByRootMeanSquare = !byTokens,
        ClipLimit = reference.Number("clip_grad_norm", 0),
        ThresholdLearningRate = reference.Number("jumprelu_lr_factor", 1),
    };

    private static void AssertTraining(
        LorsaReference reference, string name, LorsaConfig config, LorsaUnderTest.Training training, Dictionary<string, double> norms,
        string start)
    {
        var shape = reference.Shape("norm.x");
        var log = reference.Json.GetProperty("training_log");
        var before = reference.Parameters(config, start);
        var (rates, keyGradient) = (0.0, Array.Empty<float>());
        for (var step = 0; step < 3; step++)
        {
            var x = Scaled(reference.Numbers($"in.batch{step}.hook_in"), norms["in"], config.ModelWidth);
            var y = Scaled(reference.Numbers($"in.batch{step}.hook_out"), norms["out"], config.ModelWidth);
            var result = training.TakeStep(x, y, reference.Numbers($"in.batch{step}.mask"), shape[0], shape[1]);
            var entry = log[step];
            var lr = entry.GetProperty("lr");
            AssertRelative(lr.ValueKind == System.Text.Json.JsonValueKind.Array ? lr[0].GetDouble() : lr.GetDouble(), result.LearningRate, "lr");
            Assert.Equal(entry.GetProperty("k").GetInt32(), result.TopK);
            if (entry.TryGetProperty("loss", out var loss))
            {
                Assert.Equal(loss.GetDouble(), result.Loss, loss.GetDouble() * 2e-5);
            }

            if (entry.TryGetProperty("grad_norm_reported", out var norm))
            {
                Assert.Equal(norm.GetDouble(), result.GradientNorm, norm.GetDouble() * 2e-4);
            }

            rates += result.LearningRate;
            var gradient = training.Gradient;
            foreach (var (tensor, values) in training.Parameters)
            {
                if (step == 0)
                {
                    var expected = reference.Numbers(reference.Name("gradclip", tensor));
                    var largest = Math.Max(expected.Max(Math.Abs), tensor == "b_K" ? 1 : 0);
                    Assert.All(expected.Zip(gradient[tensor]), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * largest));
                    keyGradient = tensor == "b_K" ? expected : keyGradient;
                }

                if (!reference.Has(reference.Name($"step{step + 1}", tensor)))
                {
                    continue;
                }

                var golden = reference.Numbers(reference.Name($"step{step + 1}", tensor));
                var limit = (tensor is "W_O" or "b_K" ? 5e-4 : 2e-5) * golden.Max(Math.Abs);
                for (var i = 0; i < golden.Length; i++)
                {
                    // Adam divides a gradient by its own size, and its rounding too: without rotation that of b_K is nothing else.
                    var most = tensor == "b_K" ? limit + (rates * Math.Min(3, (1e-7 + (2e-5 * keyGradient.Max(Math.Abs))) / Math.Abs(keyGradient[i]))) : limit;
                    Assert.True(
                        Math.Abs(golden[i] - values[i]) <= most, $"{name} {tensor}[{i}] is {values[i]} after step {step + 1}, expected {golden[i]} ± {most:g3}.");
                }
            }

            if (step == 0)
            {
                AssertSilentHeadsStayed(training, before, config);
            }
        }
    }

    private static void AssertSilentHeadsStayed(
        LorsaUnderTest.Training training, OrderedDictionary<string, float[]> before, LorsaConfig config)
    {
        var (d, gradient, after) = (config.ModelWidth, training.Gradient, training.Parameters);
        for (var i = 0; i < config.Heads; i++)
        {
            if (!gradient["W_O"].AsSpan(i * d, d).ContainsAnyExcept(0f))
            {
                Assert.Equal(before["W_O"].AsSpan(i * d, d), after["W_O"].AsSpan(i * d, d));
                Assert.Equal(before["W_V"].AsSpan(i * d, d), after["W_V"].AsSpan(i * d, d));
            }
        }
    }

    private static void AssertActivation(LorsaReference reference, string name, float[] actual) =>
        LorsaReference.AssertClose(reference.Numbers(name), actual, 5e-6, name);

    private static void AssertRelative(double? expected, double actual, string what)
    {
        if (expected is { } number)
        {
            Assert.True(Math.Abs(number - actual) <= 5e-6 * Math.Max(Math.Abs(number), 1e-3), $"The {what} is {actual}, expected {number}.");
        }
    }

    private static float[] Scaled(float[] values, double norm, int width) =>
        Array.ConvertAll(values, v => (float)(v * Math.Sqrt(width) / norm));
}
