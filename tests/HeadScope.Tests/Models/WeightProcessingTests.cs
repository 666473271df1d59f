using System.Text.Json;

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
        Compare("folded_W_Q", [.. model.Heads.SelectMany(head => model.QueryWeight(head).ToArray())]);
        Compare("folded_W_K", [.. model.Heads.SelectMany(head => model.KeyWeight(head).ToArray())]);
        Compare("folded_W_O", [.. model.Heads.SelectMany(head => model.OutputWeight(head).ToArray())]);
        Compare("folded_b_Q", [.. model.Heads.SelectMany(head => model.QueryBias(head).ToArray())]);
        Compare("folded_b_K", [.. model.Heads.SelectMany(head => model.KeyBias(head).ToArray())]);
        Compare("folded_b_O", [.. model.Blocks.SelectMany(block => block.Attention.Output.Bias.ToArray())]);

        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "prompts.json")));
        var prompts = json.RootElement.GetProperty("tokens").EnumerateArray()
            .Select(tokens => tokens.EnumerateArray().Select(token => token.GetInt32()).ToArray()).ToArray();
        var pass = model.Run(prompts, new()
        {
            Activations = ["blocks.*.ln1.hook_normalized", "blocks.*.ln1.hook_scale", "blocks.*.attn.hook_pattern"],
            Logits = LogitsOf.None,
        });
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
        var (d, head) = (model.Config.ModelWidth, model.Heads[^1]);
        var query = processed.QueryWeight(head);
        for (var i = 0; i < query.Columns; i++)
        {
            Assert.Equal(0, Enumerable.Range(0, d).Sum(row => (double)processed.QueryWeight(head)[row, i]), 1e-5);
        }

        Assert.Equal(0, processed.OutputWeight(head).ToArray()[..d].Sum(x => (double)x), 1e-5);
        Assert.Equal(0, processed.TokenEmbedding.Row(7).ToArray().Sum(x => (double)x), 1e-5);
        Assert.Equal(0, processed.Blocks[1].Mlp.Output.Bias.ToArray().Sum(x => (double)x), 1e-5);
        Assert.Equal(0, processed.Unembedding.Bias.ToArray().Sum(x => (double)x), 1e-4);
        var unembedding = processed.Unembedding.Weight;
        Assert.Equal(0, unembedding.SliceRows(3, 1).ToArray().Sum(x => (double)x), 1e-4);
    }

    [Fact]
    public void The_first_mlp_is_the_same_function_after_folding()
    {
        using var model = Model.Load("demo");
        var x = new float[3 * 160];
        model.ReadEmbedding([5, 6, 7], x);
        var before = new float[x.Length];
        var after = new float[x.Length];
        model.ApplyFirstMlp(new(x, 3, 160), new(before, 3, 160));
        model.With(WeightProcessing.FoldLayerNorm).ApplyFirstMlp(new(x, 3, 160), new(after, 3, 160));
        ReferenceTensors.AssertClose("mlp0", before, after, 1e-5 * ReferenceTensors.Largest(before));

        // The definition, activation by activation, in one place: MLP_0(LN2_0(x)).
        var normalized = new float[160];
        Elementwise.LayerNorm(x.AsSpan(160, 160), model.Blocks[0].MlpNorm.Gain, model.Blocks[0].MlpNorm.Shift, 1e-5, normalized);
        var hidden = new float[640];
        model.Blocks[0].Mlp.In.Apply(new ReadOnlyMatrix(normalized, 1, 160), new(hidden, 1, 640));
        Elementwise.GeluTanh(hidden, hidden);
        var output = new float[160];
        model.Blocks[0].Mlp.Output.Apply(new ReadOnlyMatrix(hidden, 1, 640), new(output, 1, 160));
        ReferenceTensors.AssertClose("mlp0 by hand", output, before.AsSpan(160, 160), 1e-5 * ReferenceTensors.Largest(output));
    }

    [Fact]
    public void Rows_of_any_linear_map_can_be_streamed()
    {
        using var model = Model.Load("demo");
        foreach (var m in new[] { model, model.With(All) })
        {
            foreach (var linear in new[] { m.Unembedding, m.Blocks[0].Attention.Query, m.Blocks[1].Mlp.Output })
            {
                var streamed = new float[5 * linear.Inputs];
                linear.ReadOutputs(11, 5, streamed);
                var whole = linear.Weight.SliceColumns(11, 5).Transpose().ToArray();
                Assert.Equal(whole, streamed);
                linear.ReadOutputs(11, 5, streamed);
                Assert.Equal(whole, streamed);
                Assert.ThrowsAny<ArgumentException>(() => linear.ReadOutputs(linear.Outputs - 2, 5, streamed));
                Assert.ThrowsAny<ArgumentException>(() => linear.ReadOutputs(0, 6, streamed));
            }
        }
    }
}
