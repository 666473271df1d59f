using System.Numerics.Tensors;
using HeadScope.Numerics;
using HeadScope.Transformers;
using HeadScope.Transformers.Loading;

namespace HeadScope.Tests.Transformers;

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
        using var model = TransformerModel.Load(path);
        using var expected = SafetensorsFile.Open(Path.Combine(path, "expected.safetensors"));
        var names = expected.Tensors.Keys.Where(name => name is not ("input_ids" or "logits")).ToArray();
        var pass = model.Run(Ids(expected), new() { Activations = names });

        AssertClose("logits", expected, pass.Logits!, absolute: 5e-5);
        foreach (var name in names)
        {
            AssertClose(name, expected, pass[name], absolute: null);
        }

        Assert.True(names.Length > 30);
    }

    internal static int[][] Ids(TensorFile expected)
    {
        var shape = expected.Tensors["input_ids"].Shape;
        var ids = new float[shape[0] * shape[1]];
        expected.Read("input_ids", 0, ids);
        return [.. ids.Select(id => (int)id).Chunk((int)shape[1])];
    }

    private static void AssertClose(string name, TensorFile expected, Tensor<float> found, double? absolute)
    {
        var info = expected.Tensors[name];
        Assert.Equal(info.Shape, found.Lengths.ToArray().Select(length => (long)length));
        var values = new float[info.Length];
        expected.Read(name, 0, values);
        var tolerance = absolute ?? (1e-5 * values.Where(float.IsFinite).Max(Math.Abs));
        var actual = found.AsFlatSpan();
        for (var i = 0; i < values.Length; i++)
        {
            var same = float.IsFinite(values[i]) ? Math.Abs(values[i] - actual[i]) <= tolerance : values[i].Equals(actual[i]);
            Assert.True(same, $"{name}[{i}] is {actual[i]}, expected {values[i]} within {tolerance}.");
        }
    }
}
