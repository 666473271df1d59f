namespace HeadScope.Tests;

public class SuperpositionTests
{
    [Fact]
    public void A_trained_Lorsa_recovers_every_planted_unit()
    {
        var result = PlantedUnits.Recover(seed: 0, steps: 1200, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(24, result.Recovered);
        Assert.All(result.Matches, match => Assert.True(match.Correlation > 0.9, $"{match}"));
        Assert.Equal(24, result.Table.Rows.Count);
        Assert.True(result.Evaluation.ExplainedVariance > 0.97, $"EV {result.Evaluation.ExplainedVariance}");
    }

    [Fact]
    public void The_matching_agrees_with_the_reference_on_its_trained_Lorsa()
    {
        using var reference = new LorsaReference("toy", "planted_units");
        var config = reference.Config;
        var lorsa = LorsaUnderTest.Create(config, reference.Parameters(config, "trained"));
        var (x, z) = (reference.Numbers("example.x"), reference.Numbers("example.z"));
        var matches = LorsaUnderTest.Match(lorsa, x, 64, 16, z, reference.Numbers("planted.read"), reference.Numbers("planted.write"));
        Assert.Equal(reference.Numbers("planted.group"), matches.Select(match => (float)match.QkHead));
        Assert.Equal(24, matches.Count(match => Math.Abs(match.ReadCosine) > 0.9 && Math.Abs(match.WriteCosine) > 0.9));
        foreach (var (unit, match) in reference.Json.GetProperty("units").EnumerateArray().Zip(matches))
        {
            Assert.Equal(unit.GetProperty("head").GetInt32(), match.Head);
            Assert.Equal(unit.GetProperty("cos_read").GetDouble(), match.ReadCosine, 1e-4);
            Assert.Equal(unit.GetProperty("cos_write").GetDouble(), match.WriteCosine, 1e-4);
        }
    }

    [Theory]
    [InlineData("l1_coef2", LorsaActivation.Dense)]
    [InlineData("l1_coef0.02", LorsaActivation.Dense)]
    [InlineData("topk1", LorsaActivation.TopKMagnitude)]
    public void Skip_bigram_heads_give_the_recorded_outputs(string name, LorsaActivation activation)
    {
        using var reference = new LorsaReference("toy", "skip_bigram");
        var config = new LorsaConfig
        {
            ModelWidth = 2, Heads = 6, QkHeads = 6, QkWidth = 1, ContextLength = 2, Activation = activation, TopK = 1,
        };
        var p = reference.Parameters(config, $"{name}.attn");

        // The five rules: (0, t) for t = 1 .. 5.
        var embedding = reference.Numbers("dense.embed.weight");
        var x = Enumerable.Range(1, 5).SelectMany(t => new[] { embedding[0], embedding[1], embedding[2 * t], embedding[(2 * t) + 1] }).ToArray();
        var output = LorsaUnderTest.Forward(config, p, x, 5, 2, k: 1).Reconstruction;
        LorsaReference.AssertClose(reference.Numbers($"{name}.out"), output, 5e-6, "The output");

        var unembedding = reference.Numbers("dense.unembed.weight");
        var right = Enumerable.Range(0, 5).Count(rule => Enumerable.Range(0, 5).MaxBy(target =>
            (output[(rule * 4) + 2] * unembedding[2 * target]) + (output[(rule * 4) + 3] * unembedding[(2 * target) + 1])) == rule);
        Assert.Equal(reference.Json.GetProperty(name).GetProperty("accuracy").GetDouble(), right / 5.0, 1e-6);
    }
}
