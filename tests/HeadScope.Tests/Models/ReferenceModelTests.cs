using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Against the activations of tiny random models of every family (reference/models).</summary>
public class ReferenceModelTests
{
    public static TheoryData<string> Folders =>
    [
        "gpt2", "gpt2-hub-names", "gpt2-f16", "gpt_neox-parallel", "gpt_neox-sequential", "phi", "llama", "llama-sharded",
        "llama-tied", "llama-bf16", "qwen2",
    ];

    [Theory]
    [MemberData(nameof(Folders))]
    public void Logits_and_every_activation_are_those_of_the_reference(string folder)
    {
        var path = TestData.Shared("reference", "models", folder);
        using var model = Model.Load(path);
        using var expected = SafetensorsFile.Open(Path.Combine(path, "expected.safetensors"));
        var names = expected.Tensors.Keys.Where(name => name is not ("input_ids" or "logits")).ToArray();
        var pass = model.Run(expected.Batch(), new Hooks().Keep(names));

        AssertClose("logits", expected, pass.Logits!, absolute: 5e-5);
        foreach (var name in names)
        {
            AssertClose(name, expected, pass[name], absolute: null);
        }

        Assert.True(names.Length > 30);
        Assert.Empty(names.Except(model.ActivationNames));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Weight_processing_leaves_the_predictions(string folder)
    {
        var path = TestData.Shared("reference", "models", folder);
        using var model = Model.Load(path);
        using var expected = SafetensorsFile.Open(Path.Combine(path, "expected.safetensors"));
        var before = LogProbabilities(model.Run(expected.Batch()).Logits!);
        WeightProcessing[] steps = model.Config.Norm == NormKind.RmsNorm
            ? [WeightProcessing.FoldLayerNorm, WeightProcessing.CenterUnembedding, WeightProcessing.FoldValueBiases]
            : [WeightProcessing.FoldLayerNorm, WeightProcessing.CenterWritingWeights, WeightProcessing.CenterUnembedding,
                WeightProcessing.FoldValueBiases];

        for (var count = 1; count <= steps.Length; count++)
        {
            var processed = model.With(steps[..count]);
            Assert.Equal(steps[..count], processed.Processing);
            ReferenceTensors.AssertClose(
                $"log p after {steps[count - 1]}", before, LogProbabilities(processed.Run(expected.Batch()).Logits!), 5e-5);
        }

        var all = model.With(steps);
        Assert.All(all.Net.Blocks, block => Assert.True(block.Ln1.w is null && block.Ln2.b is null && block.Attention.b_V is null));
        Assert.True(all.Net.LnFinal.w is null);
        Assert.Empty(model.Processing);
        Assert.True(model.Net.LnFinal.w is not null);
    }

    private static float[] LogProbabilities(torch.Tensor logits) => logits.log_softmax(-1).Flat();

    private static void AssertClose(string name, TensorFile expected, torch.Tensor found, double? absolute)
    {
        Assert.Equal(expected.Tensors[name].Shape, found.shape);
        var values = expected.Values(name);
        ReferenceTensors.AssertClose(name, values, found.Flat(), absolute ?? (1e-5 * ReferenceTensors.Largest(values)));
    }
}
