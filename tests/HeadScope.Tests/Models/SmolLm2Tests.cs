using System.Text.Json;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Against a real model from its GGUF (reference/smollm2).</summary>
public class SmolLm2Tests
{
    // One model for all tests, so that its weights are decoded once.
    private static readonly Lazy<Model> Model =
        new(() => HeadScope.Model.Load(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf")));

    private readonly Model model = Model.Value;

    private readonly SafetensorsFile expected =
        SafetensorsFile.Open(TestData.Shared("reference", "smollm2", "expected.safetensors"));

    private readonly JsonElement json =
        JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "smollm2", "expected.json"))).RootElement;

    [Fact]
    public void Last_logits_and_the_twenty_best_tokens_are_those_of_the_reference()
    {
        // All four prompts in one padded batch.
        var batch = json.GetProperty("prompts").EnumerateArray().Select(prompt => Ids(prompt.GetProperty("token_ids"))).ToArray();
        var logits = model.Run(batch, logits: LogitsOf.LastPosition).Logits!;
        for (var b = 0; b < batch.Length; b++)
        {
            var prompt = json.GetProperty("prompts")[b];
            var name = $"{prompt.GetProperty("name").GetString()}.logits_last";
            ReferenceTensors.AssertClose(name, expected.Values(name), logits.Row(b), 5e-4);
            Assert.Equal(
                prompt.GetProperty("top20").EnumerateArray().Select(top => top.GetProperty("id").GetInt32()),
                TopK.Indices(logits.Row(b), 20));
        }
    }

    [Fact]
    public void Patterns_and_residual_stream_are_those_of_the_reference()
    {
        var pass = model.Run(expected.Ids("prompt1.input_ids"), new Hooks().Keep("blocks.*.attn.hook_pattern", "blocks.*.hook_resid_post"), LogitsOf.None);
        Assert.Null(pass.Logits);
        var found = Enumerable.Range(0, 30).SelectMany(layer => pass[$"blocks.{layer}.attn.hook_pattern"].Flat()).ToArray();
        ReferenceTensors.AssertClose("pattern", expected.Values("prompt1.pattern"), found, 5e-5);
        foreach (var layer in new[] { 0, 14, 29 })
        {
            var rows = expected.Values($"prompt1.blocks.{layer}.hook_resid_post");
            var residual = pass[$"blocks.{layer}.hook_resid_post"];
            for (var t = 0; t < 14; t++)
            {
                var row = rows.AsSpan(t * 576, 576);
                ReferenceTensors.AssertClose($"resid_post {layer} {t}", row, residual.Row(t), 3e-5 * ReferenceTensors.Largest(row));
            }
        }
    }

    [Fact]
    public void Next_token_loss_is_that_of_the_reference()
    {
        var ids = expected.Ids("prompt4.input_ids");
        var targets = torch.tensor([.. ids[1..].Select(id => (long)id)]).unsqueeze(1);
        var loss = (-model.Run(ids).Logits![0, ..^1].log_softmax(-1).gather(1, targets)).Flat();
        ReferenceTensors.AssertClose("loss", expected.Values("prompt4.next_token_loss"), loss, 5e-4);
        Assert.Equal(
            json.GetProperty("prompts")[3].GetProperty("mean_next_token_cross_entropy").GetDouble(), loss.Average(x => (double)x), 1e-4);
    }

    [Fact]
    public void Greedy_continuation_is_that_of_the_reference()
    {
        var ids = Ids(json.GetProperty("greedy").GetProperty("ids"));
        var prompt = expected.Ids("prompt3.input_ids");
        Assert.Equal(ids, model.Generate(prompt, 100, stopToken: ids[^1]));
        Assert.Equal(ids[..7], model.Generate(prompt, 7));
    }

    [Fact]
    public void Its_tokenizer_comes_from_the_file()
    {
        foreach (var prompt in json.GetProperty("prompts").EnumerateArray())
        {
            Assert.Equal(Ids(prompt.GetProperty("token_ids")), model.Tokenizer.Encode(prompt.GetProperty("text").GetString()!));
        }

        Assert.Equal(
            json.GetProperty("greedy").GetProperty("text").GetString(),
            model.Tokenizer.Decode(Ids(json.GetProperty("greedy").GetProperty("ids"))));
    }

    [Fact]
    public void Stored_values_are_dequantised_as_in_the_reference()
    {
        using var file = GgufFile.Open(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        var names = expected.Tensors.Keys.Where(name => name.StartsWith("dequant.", StringComparison.Ordinal)).ToArray();
        Assert.NotEmpty(names);
        foreach (var name in names)
        {
            Assert.Equal(expected.Values(name), file.Values(name["dequant.".Length..^".first256".Length])[..256]);
        }
    }

    private static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
