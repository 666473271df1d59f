using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>The model that ships with the library.</summary>
public sealed class DemoModelTests : IDisposable
{
    private readonly Model model = Model.Load("demo");

    public void Dispose() => model.Dispose();

    [Fact]
    public void It_is_loaded_by_name_with_its_tokenizer()
    {
        Assert.Equal("demo", model.Name);
        Assert.Equal("gpt2", model.Config.Architecture);
        Assert.Equal(32, model.Heads.Count);
        Assert.Equal(new Head(3, 7), model.Heads[^1]);
        Assert.Equal(model.Config.VocabularySize, model.Tokenizer.VocabularySize);
    }

    [Theory]
    [InlineData("When Anna and Peter went to the park, Anna gave a ball to", " Peter")]
    [InlineData("When Peter and Anna went to the park, Anna gave a ball to", " Peter")]
    public void It_solves_indirect_object_identification(string prompt, string answer)
    {
        var logits = model.Run(prompt, logits: LogitsOf.LastPosition).Logits!.Flat();
        Assert.Equal(answer, model.Tokenizer.TokenText(TopK.Indices(logits, 1)[0]));
    }

    [Fact]
    public void It_knows_the_capitals_of_its_relations()
    {
        using var json = JsonDocument.Parse(File.ReadAllText(
            Path.Combine(TestData.Repository, "data", "models", "demo", "relations.json")));
        var relation = json.RootElement.GetProperty("relations").EnumerateArray()
            .First(r => r.GetProperty("name").GetString() == "country_capital");
        var template = relation.GetProperty("templates")[0].GetString()!;
        var pairs = relation.GetProperty("pairs").EnumerateArray().Select(pair => (pair[0].GetString()!, pair[1].GetString()!)).ToArray();
        var prompts = pairs.Select(pair => model.Tokenizer.Encode(template.Replace("{s}", pair.Item1))).ToArray();
        var logits = model.Run(prompts, logits: LogitsOf.LastPosition).Logits!;
        var right = 0;
        for (var i = 0; i < pairs.Length; i++)
        {
            right += model.Tokenizer.TokenText(TopK.Indices(logits.Row(i), 1)[0]).Trim() == pairs[i].Item2 ? 1 : 0;
        }

        Assert.True(right >= 0.95 * pairs.Length, $"{right} of {pairs.Length} right.");
    }
}
