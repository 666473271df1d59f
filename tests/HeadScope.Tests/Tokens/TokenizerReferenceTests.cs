using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace HeadScope.Tests;

/// <summary>Equality with the Hugging Face tokenizers library, id for id, over the reference cases and from every file form.</summary>
public class TokenizerReferenceTests
{
    private const string SmolGguf = "smollm2 from GGUF";
    private const string SmallPair = "small-gpt2 from vocab.json and merges.txt";

    public static TheoryData<string> Tokenizers =>
        ["smollm2", SmolGguf, "small-gpt2", SmallPair, "small-gpt-neox", "small-phi-2", "small-llama-3", "small-qwen2"];

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Encodes_and_decodes_every_case(string name)
    {
        var tokenizer = Open(name);
        var cases = Cases(name, "cases.json");
        Assert.Equal(128, cases.Length);
        foreach (var test in cases)
        {
            var text = test.GetProperty("text").GetString()!;
            var ids = Ids(test, "ids");
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(Ids(test, "ids_with_special"), tokenizer.Encode(text));
            Assert.Equal(test.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Decodes_any_ids(string name)
    {
        var tokenizer = Open(name);
        var cases = Cases(name, "decode_cases.json");
        Assert.Equal(25, cases.Length);
        foreach (var test in cases)
        {
            var ids = Ids(test, "ids");
            Assert.Equal(test.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
            Assert.Equal(test.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids, skipSpecialTokens: true));
        }
    }

    [Fact]
    public void Encodes_and_decodes_the_published_gpt2_cases()
    {
        var tokenizer = Tokenizer.FromFolder(TestData.Shared("reference", "tokenizers", "gpt2"));
        Assert.Equal(50257, tokenizer.VocabularySize);
        Assert.Equal(50256, tokenizer.BeginningOfText);
        foreach (var test in Cases("gpt2", "cases.json"))
        {
            var ids = Ids(test, "ids");
            Assert.Equal(ids, tokenizer.Encode(test.GetProperty("text").GetString()!));
            Assert.Equal(test.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }

    [Fact]
    public void Encodes_the_whole_corpus()
    {
        using var expected = JsonDocument.Parse(File.ReadAllBytes(TestData.Shared("reference", "lorsa", "train", "data.json")));
        var text = File.ReadAllText(TestData.Shared("text", "corpus.txt"));
        var ids = Open("smollm2").Encode(text);
        Assert.Equal(expected.RootElement.GetProperty("corpus_tokens").GetInt32(), ids.Length);
        Assert.Equal(
            expected.RootElement.GetProperty("token_ids_int32_le_sha256").GetString(),
            Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(ids.AsSpan()))));
    }

    [Fact]
    public void The_GGUF_file_says_which_tokens_begin_and_end_a_text()
    {
        var tokenizer = Open(SmolGguf);
        Assert.Equal(49152, tokenizer.VocabularySize);
        Assert.Equal(1, tokenizer.BeginningOfText);
        Assert.Equal(2, tokenizer.EndOfText);
        Assert.Equal(Enumerable.Range(0, 17), tokenizer.SpecialTokens.Order());
    }

    [Fact]
    public void The_demo_model_has_one_tokenizer_in_both_its_forms()
    {
        var folder = TestData.Shared("models", "demo");
        var json = Tokenizer.FromFolder(folder);
        var pair = new Tokenizer(TokenizerSettings.OfFolder(folder).ReadPair(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt")));
        Assert.Equal(2923, json.VocabularySize);
        Assert.Equal(2922, json.BeginningOfText);
        Assert.Equal(2922, pair.EndOfText);
        Assert.Equal(json.SpecialTokens, pair.SpecialTokens);
        foreach (var test in Cases("small-gpt2", "cases.json"))
        {
            var text = test.GetProperty("text").GetString()!;
            Assert.Equal(json.Encode(text), pair.Encode(text));
        }
    }

    private static Tokenizer Open(string name)
    {
        switch (name)
        {
            case SmolGguf:
                using (var file = GgufFile.Open(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf")))
                {
                    return Tokenizer.FromGguf(file.Metadata, file.Path);
                }

            case SmallPair:
                var folder = TestData.Shared("reference", "tokenizers", "small-gpt2");
                return new Tokenizer(new TokenizerSettings(null).ReadPair(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt")));
            default:
                return Tokenizer.FromJson(TestData.Shared("reference", "tokenizers", name, "tokenizer.json"));
        }
    }

    private static JsonElement[] Cases(string name, string file)
    {
        var path = TestData.Shared("reference", "tokenizers", name.Split(' ')[0], file);
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return [.. document.RootElement.Clone().EnumerateArray()];
    }

    private static int[] Ids(JsonElement test, string name) => [.. test.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
}
