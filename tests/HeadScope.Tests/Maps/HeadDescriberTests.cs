using Microsoft.Extensions.AI;

namespace HeadScope.Tests;

public class HeadDescriberTests
{
    public static TheoryData<string, string[], string[]> Patterns => new()
    {
        { "same token", [" cat", " dog", "x"], [" cat", " dog", "x"] },
        { "same word, leading space changed", [" cat", "dog"], ["cat", " dog"] },
        { "same word, case changed", [" Italian", " cat"], ["italian", " CAT"] },
        { "plural of the word", [" fox", " city", " knife", " child"], [" foxes", " cities", " knives", "children"] },
        { "singular of the word", [" boys", " potatoes"], [" boy", " potato"] },
        { "suffix added", [" teach", " Python"], [" teaching", " Pythonic"] },
        { "prefix added", [" happy", " code"], [" unhappy", " decode"] },
        { "first letter", [" apple", " Zebra"], [" a", "Z"] },
        { "last letter", [" apple", " Zebra"], [" e", "A"] },
        { "next in a sequence", ["1999", " three", " Friday", " May"], ["2000", " four", " Saturday", "June"] },
        { "translation", [" cat", " noir", " agua"], [" chat", " black", "water"] },
        { "another script", [" Moscow", "да"], ["Москва", "yes"] },
        { "same category", [" France", " tiger", " Anna"], [" Germany", " wolf", " Peter"] },
    };

    [Theory]
    [MemberData(nameof(Patterns))]
    public void A_pattern_is_found_with_its_evidence(string name, string[] sources, string[] targets)
    {
        var description = HeadDescriber.Describe(Operations([.. sources.Zip(targets)]));
        var pattern = Assert.Single(description.Patterns, p => p.Name == name);
        Assert.Equal(1, pattern.Strength);
        Assert.Equal(sources.Length, pattern.Matches);
        Assert.Equal(sources.Zip(targets).Select(p => new RelationPair(p.First, p.Second)), pattern.Evidence);
        Assert.Contains(name, description.Summary, StringComparison.Ordinal);
        Assert.Contains(name, description.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void Chance_matches_and_unrelated_words_are_no_pattern()
    {
        var description = HeadDescriber.Describe(Operations(
            (" river", " steel"), (" seven", " grammar"), (" quiet", " lamp"), (" Anna", " engine"), (" fox", " foxes"), ("12", "14")));
        Assert.Empty(description.Patterns);
        Assert.Contains("no simple pattern", description.Summary, StringComparison.Ordinal);
        Assert.Equal(6, description.Operations.Operations.Count);
        var looser = HeadDescriber.Describe(description.Operations, options: new DescriberOptions { MinimumShare = 0.1 });
        Assert.Equal(["plural of the word", "suffix added"], looser.Patterns.Select(p => p.Name));
    }

    [Fact]
    public void A_relation_of_the_map_is_named_with_pairs_that_hit()
    {
        using var model = Model.Load("demo");
        var map = HeadMap.Score(model, Relations.All);
        var strongest = map.Top(1).MaxBy(s => s.Score);
        var description = HeadDescriber.Describe(model, strongest.Head, map);
        var pattern = Assert.Single(description.Patterns, p => p.Name == $"relation {strongest.Relation}");
        Assert.Equal(strongest.Score, pattern.Strength, 6);
        Assert.NotEmpty(pattern.Evidence);
        Assert.Equal(15, description.Operations.Operations.Count);
        Assert.Throws<ArgumentException>(() => HeadDescriber.Describe(description.Operations with { Model = "other" }, map));
    }

    [Fact]
    public async Task A_chat_model_is_shown_the_operations_and_its_answer_is_read()
    {
        var operations = Operations((" France", " Paris"), (" Italy", " Rome"));
        using var chat = new FakeChat("Sure!\n```json\n{\"inputs\": \"Countries.\", \"rule\": \"Their capitals.\", \"clear\": true}\n```");
        var description = await new ChatHeadDescriber(chat).DescribeAsync(operations, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Countries.", description.Inputs);
        Assert.Equal("Their capitals.", description.Rule);
        Assert.True(description.IsClear);
        Assert.Equal("fake-1", description.ChatModel);
        Assert.Same(operations, description.Operations);
        Assert.Contains("\" France\": \" Paris\"", chat.Asked, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("I cannot say.")]
    [InlineData("{\"inputs\": \"x\"}")]
    [InlineData("{\"inputs\": null, \"rule\": \"x\", \"clear\": true}")]
    [InlineData("{\"inputs\": \"x\", \"rule\": \"y\", \"clear\": \"yes\"}")]
    [InlineData("{broken}")]
    public async Task An_answer_that_cannot_be_read_is_quoted(string answer)
    {
        using var chat = new FakeChat(answer);
        var error = await Assert.ThrowsAsync<FormatException>(
            () => new ChatHeadDescriber(chat).DescribeAsync(Operations((" a", " b")), cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains(answer, error.Message, StringComparison.Ordinal);
    }

    private static HeadOperations Operations(params (string Source, string Target)[] pairs)
    {
        var tokens = pairs.SelectMany(p => ((string[])[p.Source, p.Target])).Distinct(StringComparer.Ordinal).ToList();
        return new HeadOperations("made up", new Head(1, 2), FirstMlp: true, 1, [.. pairs.Select(p => new SalientOperation(
            tokens.IndexOf(p.Source), p.Source, 2, [new TokenValue(tokens.IndexOf(p.Target), p.Target, 3)], []))]);
    }

    private sealed class FakeChat(string answer) : IChatClient
    {
        public string Asked { get; private set; } = "";

        public Task<ChatResponse> GetResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
        {
            Asked = string.Join('\n', messages.Select(m => m.Text));
            return Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, answer)) { ModelId = "fake-1" });
        }

        public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
            IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException("Describing a head needs no stream.");

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
