using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

/// <summary>What holds for every Lorsa, on random shapes and parameters.</summary>
public class LorsaPropertyTests
{
    [Fact]
    public void Active_heads_follow_the_rule_of_their_activation() => ForAll(60, (lorsa, input) =>
    {
        var activations = lorsa.Encode(input.ToTensor());
        var (n, k, norms) = (lorsa.Config.Heads, lorsa.Config.TopK, LorsaUnderTest.OutputNorms(lorsa));
        var before = activations.PreActivations.ToNumberArray();
        var total = 0;
        for (var b = 0; b < input.Shape[0]; b++)
        {
            for (var t = 0; t < input.Shape[1]; t++)
            {
                var active = activations.ActiveAt(b, t);
                var scores = Enumerable.Range(0, n).Select(i => before[b, t, i] * (lorsa.Config.ScoreByOutputNorm ? norms[i] : 1)).ToArray();
                total += active.Length;
                Assert.All(active, a => Assert.Equal(before[b, t, a.Head], a.Activation));
                Assert.Equal(active.Select(a => a.Head).Order(), active.Select(a => a.Head));
                if (lorsa.Config.Activation == LorsaActivation.Relu)
                {
                    Assert.Equal(scores.Count(score => score > 0), active.Length);
                }

                if (lorsa.Config.Activation == LorsaActivation.TopK)
                {
                    Assert.Equal(Math.Min(k, scores.Count(score => score > 0)), active.Length);
                    var silent = scores.Where((_, i) => active.All(a => a.Head != i)).DefaultIfEmpty(float.NegativeInfinity).Max();
                    Assert.All(active, a => Assert.True(scores[a.Head] > 0 && scores[a.Head] >= silent));
                }
            }
        }

        if (lorsa.Config.Activation == LorsaActivation.BatchTopK)
        {
            Assert.InRange(total, 0, k * input.Shape[0] * input.Shape[1]);
        }
    });

    [Fact]
    public void Patterns_sum_to_one_and_z_patterns_to_z() => ForAll(40, (lorsa, input) =>
    {
        var activations = lorsa.Encode(input.ToTensor());
        var random = new Random(1);
        for (var trial = 0; trial < 10; trial++)
        {
            var (b, t, head) = (random.Next(input.Shape[0]), random.Next(input.Shape[1]), random.Next(lorsa.Config.Heads));
            Assert.Equal(1, activations.Patterns[b, lorsa.Config.QkHeadOf(head), t].Values().Sum(), 1e-5);
            Assert.Equal(activations.PreActivations[b, t, head].item<float>(), activations.ZPattern(head)[b, t].Values().Sum(), 1e-4);
        }
    });

    [Fact]
    public void No_output_depends_on_a_later_token() => ForAll(40, (lorsa, input) =>
    {
        if (lorsa.Config.Activation == LorsaActivation.BatchTopK)
        {
            // Here tokens compete for the active heads.
            return;
        }

        var (length, d) = (input.Shape[1], input.Shape[2]);
        var changed = input with { Values = [.. input.Values] };
        changed.Values.AsSpan((length - 1) * d, d).Fill(3);
        Assert.Equal(Reconstructed(lorsa, input)[..((length - 1) * d)], Reconstructed(lorsa, changed)[..((length - 1) * d)]);
    });

    [Fact]
    public void Folding_and_unit_norms_keep_the_output() => ForAll(40, RequireSameFolded);

    // The largest of these outputs is 2.6e-4, a sum of terms near 1: its rounding is that of the terms.
    [Fact]
    public void Folding_keeps_outputs_that_nearly_cancel()
    {
        var (lorsa, input) = Make((1612968112, 1, 6, 2, 1, 43, 1, LorsaActivation.Relu, false, true));
        Assert.True(Reconstructed(lorsa, input).Max(Math.Abs) < 1e-3);
        RequireSameFolded(lorsa, input);
    }

    [Fact]
    public void What_is_saved_is_read_back_exactly() => ForAll(20, (lorsa, input) =>
    {
        if (lorsa.Config.Activation is LorsaActivation.Dense or LorsaActivation.TopKMagnitude)
        {
            return;
        }

        var folder = Directory.CreateTempSubdirectory("headscope-lorsa-").FullName;
        try
        {
            lorsa.Save(folder);
            var read = Lorsa.Load(folder);
            Assert.Equal(lorsa.Config with { AttentionScale = read.Config.AttentionScale }, read.Config);
            foreach (var (name, tensor) in lorsa.state_dict())
            {
                Assert.Equal(tensor.Values(), read.state_dict()[name].Values());
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    });

    private static float[] Reconstructed(Lorsa lorsa, NumberArray input) => lorsa.forward(input.ToTensor()).Values();

    private static void RequireSameFolded(Lorsa lorsa, NumberArray input)
    {
        // Heads at the edge of the choice may change places by rounding, so only what does not choose is compared exactly.
        if (lorsa.Config.Activation is not (LorsaActivation.Relu or LorsaActivation.Dense))
        {
            return;
        }

        var output = Reconstructed(lorsa, input);
        RequireClose(lorsa.FoldNormalization(), "Folded");
        if (lorsa.Config.ScoreByOutputNorm)
        {
            RequireClose(lorsa.WithUnitOutputNorms(), "With unit norms");
        }

        void RequireClose(Lorsa changed, string what)
        {
            var largest = output.Max(Math.Abs);
            var deviation = LorsaReference.Deviation(output, Reconstructed(changed, input)) * largest;
            Assert.True(deviation <= Math.Max(2e-5 * largest, 5e-7), $"{what}, the output deviates by {deviation:g3}; its largest is {largest:g3}.");
        }
    }

    private static void ForAll(int tests, Action<Lorsa, NumberArray> property)
    {
        var cases =
            from seed in Gen.Choose(0, int.MaxValue)
            from groups in Gen.Choose(1, 4)
            from perGroup in Gen.Choose(1, 20)
            from pairs in Gen.Choose(1, 4)
            from d in Gen.Choose(1, 24)
            from length in Gen.Choose(2, 80)
            from batch in Gen.Choose(1, 3)
            from activation in Gen.Elements(Enum.GetValues<LorsaActivation>().Where(a => a != LorsaActivation.JumpRelu))
            from byNorm in Gen.Elements(true, false)
            from rotary in Gen.Elements(true, false)
            select (seed, groups, perGroup, pairs, d, length, batch, activation, byNorm, rotary);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(tests), Prop.ForAll(cases.ToArbitrary(), given =>
        {
            var (lorsa, input) = Make(given);
            property(lorsa, input);
        }));
    }

    private static (Lorsa Lorsa, NumberArray Input) Make(
        (int Seed, int Groups, int PerGroup, int Pairs, int D, int Length, int Batch, LorsaActivation Activation, bool ByNorm, bool Rotary) given)
    {
        var random = new Random(given.Seed);
        var config = new LorsaConfig
        {
            ModelWidth = given.D, Heads = given.Groups * given.PerGroup, QkHeads = given.Groups, QkWidth = 2 * given.Pairs,
            ContextLength = given.Length, TopK = 1 + random.Next(given.Groups * given.PerGroup), Activation = given.Activation,
            ScoreByOutputNorm = given.ByNorm, HasOutputBias = random.Next(2) == 0,
            RotaryDimensions = given.Rotary ? 2 * given.Pairs : 0, RotaryAdjacentPairs = given.Rotary && random.Next(2) == 0,
        };
        var p = LorsaUnderTest.Zeros(config);
        foreach (var values in p.Values)
        {
            Fill(values);
        }

        var input = new float[given.Batch * given.Length * given.D];
        Fill(input);
        return (
            LorsaUnderTest.Create(config, p, false, 1.5, 0.25), new NumberArray(input, [given.Batch, given.Length, given.D]));

        void Fill(float[] values)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (random.NextSingle() * 2) - 1;
            }
        }
    }
}
