namespace HeadScope.Tests;

/// <summary>Both ways to the gradients against finite differences of an own, plain fp64 forward pass.</summary>
public class LorsaGradientTests
{
    private const int Batch = 2, Length = 7;

    public static TheoryData<string> Variants => ["top-k", "batch top-k", "relu power", "relu tanh", "relu tanh-quad", "qk norm", "rotary", "rotary repeated", "magnitude", "dense", "auxiliary", "many groups"];

    [Theory]
    [MemberData(nameof(Variants))]
    public void Gradients_equal_finite_differences(string variant)
    {
        var (config, objective) = Variant(variant);
        var random = new Random(11);
        var p = Random(config, random);
        var x = Numbers(random, Batch * Length * config.ModelWidth);
        var y = Numbers(random, Batch * Length * config.ModelWidth);
        var mask = Enumerable.Range(0, Batch * Length).Select(t => t % Length == 0 ? 0f : 1f).ToArray();
        var dead = variant == "auxiliary" ? Enumerable.Range(0, config.Heads).Select(i => i % 3 == 0).ToArray() : null;
        const double Penalty = 0.3;
        var (loss, gradient, _, heads) = LorsaUnderTest.Gradient(
            config, p, x, y, mask, Batch, Length, config.TopK, objective, Penalty, dead);
        var plain = new PlainLorsa(config, objective, Penalty, x, y, mask, heads);
        var names = p.Keys.ToList();
        Assert.Equal(plain.Loss(names, Doubles()), loss.Total, 1e-4);

        foreach (var (name, values) in gradient)
        {
            var index = names.IndexOf(name);
            var largest = Math.Max(1e-3, values.Max(Math.Abs));
            for (var trial = 0; trial < 12; trial++)
            {
                var at = random.Next(values.Length);
                var numbers = Doubles();
                const double Step = 1e-5;
                numbers[index][at] += Step;
                var up = plain.Loss(names, numbers);
                numbers[index][at] -= 2 * Step;
                var slope = (up - plain.Loss(names, numbers)) / (2 * Step);
                Assert.True(
                    Math.Abs(slope - values[at]) < (2e-5 * largest) + 1e-5,
                    $"{variant}: d{name}[{at}] is {values[at]}, by differences {slope}.");
            }
        }

        double[][] Doubles() => [.. p.Values.Select(v => Array.ConvertAll(v, n => (double)n))];
    }

    [Theory]
    [InlineData("top-k")]
    [InlineData("rotary")]
    [InlineData("rotary repeated")]
    [InlineData("qk norm")]
    public void The_pass_over_active_heads_equals_the_definition(string variant)
    {
        // Longer than a block of its causal products, with a last block that is not full, and with tokens that do not count.
        const int Sequences = 3, Tokens = 70;
        var (config, options) = Variant(variant);
        config = config with { Heads = 120, ContextLength = Tokens };
        var random = new Random(4);
        var p = Random(config, random);
        var (x, y) = (Numbers(random, Sequences * Tokens * config.ModelWidth), Numbers(random, Sequences * Tokens * config.ModelWidth));
        var mask = Enumerable.Range(0, Sequences * Tokens).Select(t => t % Tokens == 0 || t > (3 * Tokens) - 5 ? 0f : 1f).ToArray();
        var definition = LorsaUnderTest.Gradient(config, p, x, y, mask, Sequences, Tokens, config.TopK, options, 0);
        var pass = LorsaUnderTest.Gradient(config, p, x, y, mask, Sequences, Tokens, config.TopK, options, 0, byDefinition: false);
        Assert.Equal(definition.Loss.Total, pass.Loss.Total, 2e-6 * definition.Loss.Total);
        Assert.Equal(definition.Uses, pass.Uses);
        foreach (var (name, values) in definition.Gradient)
        {
            // Without rotation b_K has no gradient but rounding.
            if (name != "b_K" || config.RotaryDimensions > 0)
            {
                LorsaReference.AssertClose(values, pass.Gradient[name], 5e-6, $"The gradient of {name}");
            }
        }
    }

    [Fact]
    public void Results_are_the_same_bits_from_run_to_run()
    {
        var (config, objective) = Variant("rotary");
        var random = new Random(3);
        var p = Random(config, random);
        var x = Numbers(random, Batch * Length * config.ModelWidth);
        var y = Numbers(random, Batch * Length * config.ModelWidth);
        var mask = Enumerable.Repeat(1f, Batch * Length).ToArray();
        foreach (var byDefinition in new[] { true, false })
        {
            var first = Gradient();
            for (var run = 0; run < 5; run++)
            {
                Assert.Equal(first, Gradient());
            }

            float[] Gradient() => [.. LorsaUnderTest.Gradient(config, p, x, y, mask, Batch, Length, config.TopK, objective, 0, byDefinition: byDefinition)
                .Gradient.Values.SelectMany(v => v)];
        }
    }

    private static (LorsaConfig Config, LorsaTrainingOptions Objective) Variant(string name)
    {
        var config = new LorsaConfig { ModelWidth = 6, Heads = 24, QkHeads = 2, QkWidth = 4, ContextLength = 16, TopK = 5 };
        var objective = new LorsaTrainingOptions();
        return name switch
        {
            "batch top-k" => (config with { Activation = LorsaActivation.BatchTopK }, objective),
            "relu power" => (config with { Activation = LorsaActivation.Relu }, objective with { Penalty = "power", Power = 1.5 }),
            "relu tanh" => (config with { Activation = LorsaActivation.Relu }, objective with { Penalty = "tanh" }),
            "relu tanh-quad" => (config with { Activation = LorsaActivation.Relu }, objective with { Penalty = "tanh-quad" }),
            "qk norm" => (config with { QkNorm = true, RotaryDimensions = 4 }, objective),
            "rotary" => (config with { RotaryDimensions = 2, RotaryAdjacentPairs = true }, objective),
            "rotary repeated" => (config with { RotaryDimensions = 8, RotaryRepeat = 2 }, objective with { FirstCode = true }),
            "magnitude" => (config with { Activation = LorsaActivation.TopKMagnitude }, objective),
            "dense" => (config with { Activation = LorsaActivation.Dense }, objective),
            "auxiliary" => (config, objective with { AuxiliaryCoefficient = 0.5, AuxiliaryHeads = 3 }),
            "many groups" => (config with { QkHeads = 24 }, objective),
            _ => (config, objective),
        };
    }

    private static OrderedDictionary<string, float[]> Random(LorsaConfig config, Random random) =>
        new(LorsaUnderTest.Zeros(config).Select(zero => KeyValuePair.Create(zero.Key, Numbers(random, zero.Value.Length))));

    private static float[] Numbers(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() * 2) - 1))];

    /// <summary>
    /// A Lorsa in fp64 straight from its definition. Which heads are active is given: the mask of the sparsification is a constant for
    /// differentiation.
    /// </summary>
    private sealed class PlainLorsa(
        LorsaConfig c, LorsaTrainingOptions objective, double penalty, float[] x, float[] y, float[] mask, HeadAtToken[][] heads)
    {
        public double Loss(List<string> names, double[][] numbers)
        {
            double[] Of(string name) => names.IndexOf(name) is >= 0 and var at ? numbers[at] : [];
            var (wv, wo, bv, bd) = (Of("W_V"), Of("W_O"), Of("b_V"), Of("b_D"));
            var (d, n, r) = (c.ModelWidth, c.Heads, c.Heads / c.QkHeads);
            var counted = mask.Sum();
            double loss = 0;
            var tanhs = new double[n];
            for (var b = 0; b < Batch; b++)
            {
                var q = Project(b, Of("W_Q"), Of("b_Q"), Of("ln_q.w"));
                var k = Project(b, Of("W_K"), Of("b_K"), Of("ln_k.w"));
                for (var t = 0; t < Length; t++)
                {
                    var token = (b * Length) + t;
                    var main = new double[d];
                    bd.CopyTo(main, 0);
                    var aux = new double[d];
                    double power = 0, tanh = 0;
                    foreach (var (i, _, isMain) in heads[token])
                    {
                        var z = 0.0;
                        var weights = Softmax(q[i / r][t], k[i / r], t);
                        for (var s = 0; s <= t; s++)
                        {
                            var v = bv[i];
                            for (var m = 0; m < d; m++)
                            {
                                v += x[(((b * Length) + s) * d) + m] * wv[(i * d) + m];
                            }

                            z += weights[s] * v;
                        }

                        var norm = 0.0;
                        for (var m = 0; m < d; m++)
                        {
                            (isMain ? main : aux)[m] += z * wo[(i * d) + m];
                            norm += wo[(i * d) + m] * wo[(i * d) + m];
                        }

                        var f = z * Math.Sqrt(norm);
                        power += isMain && objective.Penalty == "power" ? Math.Pow(f, objective.Power) : 0;
                        tanh += Math.Tanh(objective.TanhStretch * f);
                        tanhs[i] += Math.Tanh(objective.TanhStretch * f) / (Batch * Length);
                    }

                    for (var m = 0; m < d; m++)
                    {
                        var error = y[(token * d) + m] - main[m];
                        loss += mask[token] / counted * error * error / (objective.FirstCode ? d : 1);
                        loss += mask[token] / counted * objective.AuxiliaryCoefficient * (error - aux[m]) * (error - aux[m]);
                    }

                    loss += penalty * mask[token] / counted * objective.Penalty switch
                    {
                        "power" => Math.Pow(power, 1 / objective.Power),
                        "tanh" => tanh,
                        _ => 0,
                    };
                }
            }

            return objective.Penalty == "tanh-quad"
                ? loss + (penalty * tanhs.Sum(f => f * (1 + (f / objective.FrequencyScale))))
                : loss;
        }

        private double[][][] Project(int b, double[] weight, double[] bias, double[] gain)
        {
            var (d, e) = (c.ModelWidth, c.QkWidth);
            return [.. Enumerable.Range(0, c.QkHeads).Select(g => Enumerable.Range(0, Length).Select(t =>
            {
                var row = new double[e];
                for (var j = 0; j < e; j++)
                {
                    row[j] = bias[(g * e) + j];
                    for (var m = 0; m < d; m++)
                    {
                        row[j] += x[(((b * Length) + t) * d) + m] * weight[(((g * d) + m) * e) + j];
                    }
                }

                if (c.QkNorm)
                {
                    var rms = Math.Sqrt((row.Sum(v => v * v) / e) + c.QkNormEpsilon);
                    row = [.. row.Select((v, j) => v / rms * gain[(g * e) + j])];
                }

                return Rotate(row, t);
            }).ToArray())];
        }

        private double[] Rotate(double[] row, int t)
        {
            var wide = row.SelectMany(v => Enumerable.Repeat(v, c.RotaryRepeat)).ToArray();
            var half = c.RotaryDimensions / 2;
            for (var m = 0; m < half; m++)
            {
                var angle = t * Math.Pow(c.RotaryBase, -2.0 * m / c.RotaryDimensions);
                var (i, j) = c.RotaryAdjacentPairs ? (2 * m, (2 * m) + 1) : (m, m + half);
                (wide[i], wide[j]) = (
                    (wide[i] * Math.Cos(angle)) - (wide[j] * Math.Sin(angle)), (wide[j] * Math.Cos(angle)) + (wide[i] * Math.Sin(angle)));
            }

            return wide;
        }

        private double[] Softmax(double[] q, double[][] k, int t)
        {
            var weights = k.Take(t + 1).Select(key => Math.Exp(key.Zip(q, (u, v) => u * v).Sum() / Math.Sqrt(c.QkWidth))).ToArray();
            var sum = weights.Sum();
            return [.. weights.Select(w => w / sum)];
        }
    }
}
