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

    private static readonly Head MadeUp = new(1, 2);

    [Theory]
    [MemberData(nameof(Patterns))]
    public void A_pattern_is_found_with_its_evidence(string name, string[] sources, string[] targets)
    {
        var description = Describe([.. sources.Zip(targets)]);
        var pattern = Assert.Single(description.Patterns, p => p.Name == name);
        Assert.Equal(sources.Length, pattern.Matches);
        Assert.Equal(sources.Length, pattern.Of);
        Assert.Equal(sources.Zip(targets), pattern.Evidence);
        Assert.Contains(name, description.Summary, StringComparison.Ordinal);
        Assert.Contains(name, description.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void Chance_matches_and_unrelated_words_are_no_pattern()
    {
        var description = Describe((" river", " steel"), (" seven", " grammar"), (" quiet", " lamp"), (" Anna", " engine"), (" fox", " foxes"), ("12", "14"));
        Assert.Empty(description.Patterns);
        Assert.Contains("no simple pattern", description.Summary, StringComparison.Ordinal);
        Assert.Equal(6, description.Operations[description.Head].Count);
        var looser = HeadDescription.Of(description.Operations, description.Head, minimumShare: 0.1);
        Assert.Equal(["plural of the word", "suffix added"], looser.Patterns.Select(p => p.Name));
    }

    [Fact]
    public void A_relation_of_the_map_is_named_with_pairs_that_hit()
    {
        using var model = Model.Load("demo");
        var map = HeadMap.Score(model, Relations.All);
        var strongest = map.Top(1).MaxBy(s => s.Score);
        var description = HeadDescription.Of(model, strongest.Head, map);
        var pattern = Assert.Single(description.Patterns, p => p.Name == $"relation {strongest.Relation}");
        Assert.Equal((strongest.Hits, strongest.Pairs), (pattern.Matches, pattern.Of));
        Assert.NotEmpty(pattern.Evidence);
        Assert.Equal(15, description.Operations[description.Head].Count);
        Assert.Throws<ArgumentException>(() => HeadDescription.Of(description.Operations with { Model = "other" }, strongest.Head, map));
    }

    [Fact]
    public async Task A_chat_model_is_shown_the_operations_and_its_answer_is_read()
    {
        var operations = Operations((" France", " Paris"), (" Italy", " Rome"));
        using var chat = new FakeChat("Sure!\n```json\n{\"inputs\": \"Countries.\", \"rule\": \"Their capitals.\", \"clear\": true}\n```");
        var description = await HeadDescription.AskAsync(chat, operations, MadeUp, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("Countries.", description.Inputs);
        Assert.Equal("Their capitals.", description.Rule);
        Assert.True(description.IsClear);
        Assert.Equal("fake-1", description.ChatModel);
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
            () => HeadDescription.AskAsync(chat, Operations((" a", " b")), MadeUp, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains(answer, error.Message, StringComparison.Ordinal);
    }

    private static HeadDescription Describe(params (string Source, string Target)[] pairs) => HeadDescription.Of(Operations(pairs), MadeUp);

    private static SalientOperations Operations(params (string Source, string Target)[] pairs)
    {
        var tokens = pairs.SelectMany(p => ((string[])[p.Source, p.Target])).Distinct(StringComparer.Ordinal).ToList();
        return MapsUnderTest.Operations("made up", MadeUp, [.. pairs.Select(p => (tokens.IndexOf(p.Source), p.Source, tokens.IndexOf(p.Target), p.Target))]);
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
