using System.Numerics.Tensors;

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
        var pass = model.Run(expected.Batch(), new() { Activations = names });

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
        Assert.All(all.Blocks, block => Assert.True(block.AttentionNorm.Gain.IsEmpty && block.MlpNorm.Shift.IsEmpty));
        Assert.True(all.FinalNorm.Gain.IsEmpty);
        Assert.All(all.Heads, head => Assert.True(all.ValueBias(head).IsEmpty));
        Assert.Empty(model.Processing);
        Assert.False(model.FinalNorm.Gain.IsEmpty);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Blocks_of_heads_are_the_same_read_alone_or_cut_from_the_whole(string folder)
    {
        var path = TestData.Shared("reference", "models", folder);
        using var model = Model.Load(path);
        foreach (var m in new[] { model, model.With(WeightProcessing.FoldLayerNorm), model.With(WeightProcessing.FoldValueBiases) })
        {
            var head = m.Heads[^1];
            var alone = Blocks(m, head);
            var attention = m.Blocks[head.Layer].Attention;
            _ = attention.Query.Weight.Rows + attention.Key.Weight.Rows + attention.Value.Weight.Rows + attention.Output.Weight.Rows;
            Assert.Equal(alone, Blocks(m, head));
            m.ReleaseWeights();
            Assert.Equal(alone, Blocks(m, head));
        }

        static float[] Blocks(Model m, Head head) =>
        [
            .. m.QueryWeight(head).ToArray(), .. m.KeyWeight(head).ToArray(), .. m.ValueWeight(head).ToArray(),
            .. m.OutputWeight(head).ToArray(),
        ];
    }

    private static float[] LogProbabilities(Tensor<float> logits)
    {
        var matrix = logits.AsMatrix();
        var result = new float[matrix.Rows * matrix.Columns];
        for (var row = 0; row < matrix.Rows; row++)
        {
            var total = Elementwise.LogSumExp(matrix.Row(row));
            for (var i = 0; i < matrix.Columns; i++)
            {
                result[(row * matrix.Columns) + i] = (float)(matrix.Row(row)[i] - total);
            }
        }

        return result;
    }

    private static void AssertClose(string name, TensorFile expected, Tensor<float> found, double? absolute)
    {
        Assert.Equal(expected.Tensors[name].Shape, found.Lengths.ToArray().Select(length => (long)length));
        var values = expected.Values(name);
        ReferenceTensors.AssertClose(name, values, found.AsFlatSpan(), absolute ?? (1e-5 * ReferenceTensors.Largest(values)));
    }
}
