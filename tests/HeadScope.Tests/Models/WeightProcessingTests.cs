using System.Text.Json;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>The rewritings against those of TransformerLens in fp64 (reference/circuits/tiny), and their own properties.</summary>
public class WeightProcessingTests
{
    private static readonly WeightProcessing[] All =
    [
        WeightProcessing.FoldLayerNorm, WeightProcessing.CenterWritingWeights, WeightProcessing.CenterUnembedding,
        WeightProcessing.FoldValueBiases,
    ];

    [Fact]
    public void Folded_weights_and_normalised_inputs_are_those_of_the_reference()
    {
        var folder = TestData.Shared("reference", "circuits", "tiny");
        using var model = Model.Load(folder).With(All);
        using var golden = SafetensorsFile.Open(Path.Combine(folder, "omega.safetensors"));
        Compare("folded_W_Q", [.. model.Net.Blocks.SelectMany(block => block.Attention.W_Q.Flat())]);
        Compare("folded_W_K", [.. model.Net.Blocks.SelectMany(block => block.Attention.W_K.Flat())]);
        Compare("folded_W_O", [.. model.Net.Blocks.SelectMany(block => block.Attention.W_O.Flat())]);
        Compare("folded_b_Q", [.. model.Net.Blocks.SelectMany(block => block.Attention.b_Q!.Flat())]);
        Compare("folded_b_K", [.. model.Net.Blocks.SelectMany(block => block.Attention.b_K!.Flat())]);
        Compare("folded_b_O", [.. model.Net.Blocks.SelectMany(block => block.Attention.b_O!.Flat())]);

        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "prompts.json")));
        var prompts = json.RootElement.GetProperty("tokens").EnumerateArray()
            .Select(tokens => tokens.EnumerateArray().Select(token => token.GetInt32()).ToArray()).ToArray();
        var pass = model.Run(prompts, new Hooks().Keep("blocks.*.ln1.hook_normalized", "blocks.*.ln1.hook_scale", "blocks.*.attn.hook_pattern"), LogitsOf.None);
        Compare("ln1_normalized", Layers("ln1.hook_normalized"), 1e-5);
        Compare("ln1_scale", Layers("ln1.hook_scale"), 1e-5);
        Compare("attention_pattern", Layers("attn.hook_pattern"), 1e-5);

        float[] Layers(string name) => [.. Enumerable.Range(0, 3).SelectMany(layer => pass[$"blocks.{layer}.{name}"].Flat())];

        void Compare(string name, float[] found, double tolerance = 1e-6)
        {
            var expected = golden.Values(name);
            ReferenceTensors.AssertClose(name, expected, found, tolerance * ReferenceTensors.Largest(expected));
        }
    }

    [Theory]
    [InlineData("demo")]
    [InlineData("parallel")]
    public void Processed_weights_have_the_means_they_should(string name)
    {
        using var model = TinyModels.Load(name);
        var processed = model.With(All);
        var (net, last) = (processed.Net, processed.Net.Blocks[^1]);
        Assert.All(last.Attention.W_Q.sum(1).Flat(), sum => Assert.Equal(0, sum, 1e-5));
        Assert.All(last.Attention.W_O.sum(-1).Flat(), sum => Assert.Equal(0, sum, 1e-5));
        Assert.All(net.W_E.sum(-1).Flat(), sum => Assert.Equal(0, sum, 1e-5));
        Assert.Equal(0, net.Blocks[1].Mlp.b_out!.sum().item<float>(), 1e-5);
        Assert.Equal(0, net.b_U!.sum().item<float>(), 1e-4);
        Assert.All(net.W_U.sum(-1).Flat(), sum => Assert.Equal(0, sum, 1e-4));
    }

    [Fact]
    public void The_first_mlp_is_the_same_function_after_folding()
    {
        using var model = Model.Load("demo");
        var folded = model.With(WeightProcessing.FoldLayerNorm);
        Assert.Null(folded.Net.Blocks[0].Ln2.w);
        foreach (var token in new[] { 5, 6, 7 })
        {
            var x = ModelUnderTest.Embedding(model, token);
            var before = ModelUnderTest.FirstMlp(model, x);
            ReferenceTensors.AssertClose("mlp0", before, ModelUnderTest.FirstMlp(folded, x), 1e-5 * ReferenceTensors.Largest(before));
        }
    }

    [Fact]
    public void Rewritten_models_that_nobody_holds_take_their_weights_along()
    {
        using var model = Model.Load("demo");
        var weight = UseFolded();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.False(weight.TryGetTarget(out _));
        model.Run([1, 2, 3]).Dispose();

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        WeakReference<Parameter> UseFolded()
        {
            var folded = model.With(All);
            folded.Run([1, 2, 3]).Dispose();
            Assert.True(folded.Net.Unembedding.Weight.IsHeld);
            return new(folded.Net.Unembedding.Weight);
        }
    }

    [Theory]
    [InlineData("demo")]
    [InlineData("rotary")]
    [InlineData("parallel")]
    public void Rows_read_alone_are_those_of_the_whole(string name)
    {
        using var model = TinyModels.Load(name);
        foreach (var m in new[] { model, model.With(WeightProcessing.FoldLayerNorm, WeightProcessing.CenterUnembedding) })
        {
            var attention = m.Net.Blocks[1].Attention;
            foreach (var parameter in new[] { m.Net.Embedding, m.Net.Unembedding.Weight, attention.Query.Weight, attention.Value.Weight, m.Net.Blocks[1].Mlp.Output.Weight })
            {
                using var scope = torch.NewDisposeScope();
                var whole = parameter.Stored().to(torch.float32);
                Assert.Equal(whole[5..9].Flat(), parameter.StoredRows(5, 4).Flat());
                Assert.Equal(whole[5..9].Flat(), parameter.Rows(5, 4).Flat());
                Assert.Equal(whole[torch.tensor(new long[] { 7, 3, 7 })].Flat(), parameter.Pick([7, 3, 7]).Flat());
                Assert.Equal(whole.Flat(), parameter.Value.Flat());
            }
        }
    }
}
