using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

public class TokenizerTests
{
    private static readonly string DemoFolder = Path.Combine(TestData.Repository, "data", "models", "demo");

    private static readonly Gen<string> AnyText = Gen.OneOf(
            Gen.Elements("the", " of", "France", "'s", "  ", "\n", "<|endoftext|>", "😀", "𝒜", "e\u0301", "漢字", "\0", "\u00A0", "½", "\uFFFD", "123"),
            ArbMap.Default.GeneratorFor<char>().Select(unit => char.IsSurrogate(unit) ? "-" : unit.ToString()))
        .ListOf().Select(parts => string.Concat(parts));

    [Fact]
    public void Decoding_gives_the_text_back()
    {
        var tokenizer = Tokenizer.FromFolder(DemoFolder);
        Prop.ForAll(AnyText.ToArbitrary(), text =>
            tokenizer.Decode(tokenizer.Encode(text)) == text
            && tokenizer.Decode(tokenizer.EncodeOrdinary(text)) == text
            && !tokenizer.EncodeOrdinary(text).Any(tokenizer.SpecialTokens.Contains)).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Neither_what_was_encoded_before_nor_threads_change_the_result()
    {
        var used = Tokenizer.FromFolder(DemoFolder);
        Prop.ForAll(AnyText.ListOf().ToArbitrary(), texts =>
        {
            var fresh = Tokenizer.FromFolder(DemoFolder);
            var expected = texts.Select(text => fresh.Encode(text)).ToArray();
            var found = new int[expected.Length][];
            Parallel.For(0, expected.Length, i => found[i] = used.Encode(texts.ElementAt(i)));
            return expected.Zip(found).All(pair => pair.First.SequenceEqual(pair.Second));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(20));
    }

    [Fact]
    public void A_long_word_is_merged_as_the_definition_says()
    {
        var entries = new[] { "a", "b", "ab", "aa", "ba", "aba", "abab", "aaaa", "bb" };
        (string, string)[] merges = [("a", "b"), ("a", "a"), ("ab", "ab"), ("b", "b"), ("ab", "a"), ("aa", "aa"), ("b", "a")];
        var encoder = new BytePairEncoder(Definition(entries, merges));
        var word = Gen.Choose(0, 300).SelectMany(length => Gen.Elements('a', 'b').ArrayOf(length)).Select(letters => new string(letters));
        Prop.ForAll(word.ToArbitrary(), text =>
        {
            var parts = text.Select(letter => letter.ToString()).ToList();
            while (true)
            {
                var best = merges.Where(merge => Place(merge) >= 0).Select(merge => ((string, string)?)merge).FirstOrDefault();
                if (best is not { } found)
                {
                    break;
                }

                var at = Place(found);
                parts[at] += parts[at + 1];
                parts.RemoveAt(at + 1);
            }

            return parts.Select(part => Array.IndexOf(entries, part)).SequenceEqual(encoder.Encode(text));

            int Place((string Left, string Right) merge) =>
                Enumerable.Range(0, Math.Max(0, parts.Count - 1)).Where(i => parts[i] == merge.Left && parts[i + 1] == merge.Right)
                    .DefaultIfEmpty(-1).First();
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_lone_surrogate_counts_as_the_replacement_character()
    {
        var tokenizer = Tokenizer.FromFolder(DemoFolder);
        Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD"), tokenizer.Encode("a\uD800b\uDC00"));
    }

    [Fact]
    public void Tokens_have_names_and_texts()
    {
        var tokenizer = Tokenizer.FromFolder(DemoFolder);
        var id = tokenizer.TokenId("Ġthe");
        Assert.NotNull(id);
        Assert.Equal(" the", tokenizer.TokenText(id.Value));
        Assert.Equal([id.Value], tokenizer.Encode(" the"));
        Assert.Null(tokenizer.TokenId("no such entry"));
        Assert.Equal("\uFFFD", tokenizer.TokenText(tokenizer.TokenId("Ã")!.Value));
        Assert.Equal("[unused 2923]", tokenizer.TokenText(2923));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.TokenText(-1));
        Assert.Equal(tokenizer.TokenId("<|endoftext|>"), tokenizer.EndOfText);
        Assert.Empty(tokenizer.Encode(string.Empty));
        Assert.Equal(string.Empty, tokenizer.Decode([]));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(2923)]
    [InlineData(int.MaxValue)]
    public void Decoding_refuses_ids_outside_of_the_vocabulary(int id)
    {
        var tokenizer = Tokenizer.FromFolder(DemoFolder);
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Decode([1, id]));
        Assert.Contains($"Token {id} at position 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Added_tokens_follow_their_flags()
    {
        AddedToken[] added =
        [
            new(10, "<left>", Special: true, LeftStrip: true), new(11, "<right>", Special: false, RightStrip: true),
            new(12, "word", Special: false, SingleWord: true), new(13, "<", Special: false), new(14, "\u00E9", Special: false, Normalized: true),
        ];
        var entries = "abcdwor> ".Select(letter => ByteSymbols.Of((byte)letter).ToString()).ToArray();
        var tokenizer = new Tokenizer(Definition(entries, []) with { AddedTokens = added, Compose = true });
        Assert.Equal([0, 10, 1], tokenizer.Encode("a  <left>b"));
        Assert.Equal([0, 11, 1], tokenizer.Encode("a<right>\n b"));
        Assert.Equal([11, 10], tokenizer.Encode("<right>  <left>"));
        Assert.Equal([12, 8, 12, 8, 0, 4, 5, 6, 3], tokenizer.Encode("word word aword"));
        Assert.Equal([13, 7], tokenizer.Encode("<>"));
        Assert.Equal([14, 0], tokenizer.Encode("e\u0301a"));
        Assert.Equal([10], tokenizer.Encode("<left>"));
        Assert.DoesNotContain(10, tokenizer.EncodeOrdinary("<left>"));
    }

    private static TokenizerDefinition Definition(string[] entries, IReadOnlyList<(string, string)> merges) => new()
    {
        Source = "test",
        Vocabulary = entries.Select((entry, id) => (entry, id)).ToDictionary(pair => pair.entry, pair => pair.id, StringComparer.Ordinal),
        Merges = merges,
        Steps = [new(KnownPatterns.Gpt2)],
    };
}
