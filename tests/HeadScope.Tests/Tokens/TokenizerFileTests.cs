namespace HeadScope.Tests;

/// <summary>What files may say, and how what is wrong with them is reported.</summary>
public sealed class TokenizerFileTests : IDisposable
{
    private const string Good = """
        {"added_tokens": [{"id": 4, "content": "<s>", "special": true}], "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
           "special_tokens": {"<s>": {"ids": [4]}}},
         "decoder": {"type": "ByteLevel"},
         "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3}, "merges": ["a b"]}}
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("headscope").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_small_file_is_read()
    {
        var tokenizer = Tokenizer.FromFolder(Write("tokenizer.json", Good));
        Assert.Equal([4, 2, 3, 0], tokenizer.Encode("ab a"));
        Assert.Equal([2, 4], tokenizer.Encode("ab<s>", addSpecialTokens: false));
        Assert.Equal("ab", tokenizer.Decode([4, 2], skipSpecialTokens: true));
        Assert.Equal(4, tokenizer.BeginningOfText);
        Assert.Null(tokenizer.EndOfText);
        Assert.Equal(5, tokenizer.VocabularySize);
    }

    [Theory]
    [InlineData("\"merges\": [\"a b\"]", "\"merges\": [\"a", "not valid JSON")]
    [InlineData("\"vocab\"", "\"other\"", "has no 'model.vocab'")]
    [InlineData("\"merges\"", "\"other\"", "has no 'model.merges'")]
    [InlineData("\"b\": 1", "\"b\": \"x\"", "'model.vocab.b' = \"x\"; expected a token number")]
    [InlineData("\"b\": 1", "\"b\": -1", "'model.vocab.b' = -1; expected a token number")]
    [InlineData("\"b\": 1", "\"b\": 2000000000", "larger than any in a vocabulary")]
    [InlineData("\"b\": 1", "\"b\": 0", "same token id 0")]
    [InlineData("\"a b\"", "\"a c\"", "merge 0 joins 'a' and 'c'")]
    [InlineData("\"a b\"", "\"ab\"", "model.merges[0] should be two entries")]
    [InlineData("\"a b\"", "[\"a\"]", "'model.merges[0]' = [\"a\"]; expected two entries")]
    [InlineData("\"a b\"", "7", "'model.merges[0]' = 7; expected an array")]
    [InlineData("\"ids\": [4]", "\"ids\": [9]", "token 9")]
    [InlineData("{\"id\": 4", "{\"id\": 2", "same token id 2")]
    [InlineData("[{\"id\": 4", "[{\"id\": 5, \"content\": \"<s>\"}, {\"id\": 4", "'<s>' has two token ids, 5 and 4")]
    [InlineData("\"type\": \"BPE\"", "\"type\": \"BPE\", \"unk_token\": \"<unk>\"", "lacks byte 0 as well as the unknown token '<unk>'")]
    [InlineData("\"content\": \"<s>\"", "\"content\": \"\\ud800\"", "added_tokens[0].content holds half a surrogate pair")]
    [InlineData("\"special\": true", "\"\\ud800\": true", "added_tokens[0] holds half a surrogate pair")]
    [InlineData("\"b\": 1", "\"\\udc00\": 1", "model.vocab holds half a surrogate pair")]
    [InlineData("\"type\": \"BPE\"", "\"\\ud800\": \"BPE\"", "model holds half a surrogate pair")]
    [InlineData("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "[]", "'pre_tokenizer' = []; expected an object")]
    [InlineData("[{\"type\": \"NFC\"}]", "3", "'normalizer.normalizers' = 3; expected an array")]
    [InlineData("\"special\": true", "\"special\": 1", "'added_tokens[0].special' = 1; expected true or false")]
    public void Damage_is_reported_with_file_and_key(string from, string to, string message)
    {
        var folder = Write("tokenizer.json", Good.Replace(from, to, StringComparison.Ordinal));
        var error = Assert.Throws<InvalidDataException>(() => Tokenizer.FromFolder(folder));
        Assert.Contains(Path.Combine(folder, "tokenizer.json"), error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_without_a_decoder_is_read_all_the_same()
    {
        var folder = Write("tokenizer.json", Good.Replace("\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": null", StringComparison.Ordinal));
        var tokenizer = Tokenizer.FromFolder(folder);
        Assert.Equal([4, 2, 3, 0], tokenizer.Encode("ab a"));
        Assert.Equal("ab a", tokenizer.Decode([2, 3, 0]));
    }

    [Fact]
    public void A_device_is_no_tokenizer()
    {
        Assert.SkipUnless(File.Exists("/dev/zero"), "There are no devices among the files here.");
        Assert.Contains("regular file", Assert.Throws<InvalidDataException>(() => Tokenizer.FromJson("/dev/zero")).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_folder, "vocab.json"), "{\"a\": 0}");
        Assert.Throws<InvalidDataException>(() => new TokenizerSettings(null).ReadPair(Path.Combine(_folder, "vocab.json"), "/dev/zero"));
    }

    [Fact]
    public void A_pattern_that_never_ends_is_reported_with_file_and_key()
    {
        var folder = Write("tokenizer.json", Good.Replace(
            "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
            """
            {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a|aa)+b|."}, "behavior": "Isolated"}, {"type": "ByteLevel"}]}
            """,
            StringComparison.Ordinal));
        var tokenizer = Tokenizer.FromFolder(folder);
        var error = Assert.Throws<InvalidDataException>(() => tokenizer.Encode(new string('a', 100) + " b"));
        Assert.Contains(
            "tokenizer.json: pre_tokenizer.pretokenizers[0].pattern.Regex: the pattern (?:a|aa)+b|. takes too long", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"type\": \"BPE\"", "\"type\": \"Unigram\"", "'model.type' = \"Unigram\"")]
    [InlineData("\"type\": \"BPE\"", "\"type\": \"BPE\", \"dropout\": 0.1", "'model.dropout' = 0.1")]
    [InlineData("\"type\": \"BPE\"", "\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\"", "model.end_of_word_suffix")]
    [InlineData("\"type\": \"NFC\"", "\"type\": \"Lowercase\"", "'normalizer.normalizers[0].type' = \"Lowercase\"")]
    [InlineData("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "{\"type\": \"Metaspace\"}", "'pre_tokenizer.type' = \"Metaspace\"")]
    [InlineData("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "{\"type\": \"Digits\"}", "no ByteLevel step")]
    [InlineData("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, {\"type\": \"Digits\"}]}", "pretokenizers[1]")]
    [InlineData("{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{Han}\"}, \"behavior\": \"Isolated\"}", "pre_tokenizer.pattern.Regex")]
    [InlineData("\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"WordPiece\"}", "'decoder.type' = \"WordPiece\"")]
    [InlineData("\"TemplateProcessing\"", "\"BertProcessing\"", "'post_processor.type' = \"BertProcessing\"")]
    public void What_is_not_supported_is_refused_with_file_and_key(string from, string to, string message)
    {
        var folder = Write("tokenizer.json", Good.Replace(from, to, StringComparison.Ordinal));
        var error = Assert.Throws<NotSupportedException>(() => Tokenizer.FromFolder(folder));
        Assert.Contains(Path.Combine(folder, "tokenizer.json"), error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_beside_the_files_name_the_ends_of_a_text_and_more_tokens()
    {
        Write("tokenizer.json", Good);
        var folder = Write("tokenizer_config.json", """
            {"bos_token": {"content": "<s>"}, "eos_token": "</s>",
             "added_tokens_decoder": {"4": {"content": "<s>", "special": true}, "5": {"content": "</s>", "special": true}}}
            """);
        var tokenizer = Tokenizer.FromFolder(folder);
        Assert.Equal((4, 5), (tokenizer.BeginningOfText, tokenizer.EndOfText));
        Assert.Equal([4, 5], tokenizer.SpecialTokens.Order());
    }

    [Fact]
    public void The_older_pair_of_files_is_read_with_its_settings()
    {
        Write("vocab.json", """{"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<s>": 4, "Ġa": 5}""");
        Write("merges.txt", "#version: 0.2\na b\nĠ a\n");
        var folder = Write("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "add_bos_token": true, "add_prefix_space": true}""");
        var tokenizer = Tokenizer.FromFolder(folder);
        Assert.Equal([4, 5, 5], tokenizer.Encode("a a"));
        Write("tokenizer_config.json", """{"tokenizer_class": "LlamaTokenizer"}""");
        var refused = Assert.Throws<NotSupportedException>(() => Tokenizer.FromFolder(folder));
        Assert.Contains("LlamaTokenizer", refused.Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(folder, "tokenizer_config.json"));
        Write("merges.txt", "#version: 0.2\na b\nnonsense\n");
        var damaged = Assert.Throws<InvalidDataException>(() => Tokenizer.FromFolder(folder));
        Assert.Contains("merges.txt: line 3", damaged.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_says_so()
    {
        Assert.Contains("neither", Assert.Throws<FileNotFoundException>(() => Tokenizer.FromFolder(_folder)).Message, StringComparison.Ordinal);
        Write("tokenizer.model", string.Empty);
        Assert.Contains("SentencePiece", Assert.Throws<NotSupportedException>(() => Tokenizer.FromFolder(_folder)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt-2", new[] { 0, 7, 7, 8 })]
    [InlineData("smollm", new[] { 0, 7, 7, 8 })]
    [InlineData("llama-bpe", new[] { 3, 0, 9 })]
    [InlineData("qwen2", new[] { 0, 7, 7, 8 })]
    [InlineData("default", new[] { 0, 7, 7, 8 })]
    public void GGUF_metadata_is_read(string pre, int[] expected)
    {
        // Only llama-bpe takes "112" for one word, though no merge makes it, and begins texts with their token.
        var metadata = Metadata();
        metadata["tokenizer.ggml.pre"] = pre;
        metadata["tokenizer.ggml.tokens"] = new[] { "a", "b", "ab", "<s>", "</s>", "<user>", "<unused>", "1", "2", "112" };
        metadata["tokenizer.ggml.token_type"] = new[] { 1, 1, 1, 3, 3, 4, 5, 1, 1, 1 };
        var tokenizer = Tokenizer.FromGguf(metadata, "model.gguf");
        Assert.Equal(expected, tokenizer.Encode("a112"));
        Assert.Equal([3, 4], tokenizer.SpecialTokens.Order());
        Assert.Equal((3, 4), (tokenizer.BeginningOfText, tokenizer.EndOfText));
        Assert.Equal([2, 5], tokenizer.Encode("ab<user>", addSpecialTokens: false));
        metadata["tokenizer.ggml.add_bos_token"] = true;
        metadata["tokenizer.ggml.add_eos_token"] = true;
        Assert.Equal([3, 2, 4], Tokenizer.FromGguf(metadata, "model.gguf").Encode("ab"));
    }

    [Theory]
    [InlineData("model", "llama", typeof(NotSupportedException), "tokenizer.ggml.model is 'llama'")]
    [InlineData("pre", "kimi-k2", typeof(NotSupportedException), "tokenizer.ggml.pre is 'kimi-k2'")]
    [InlineData("tokens", null, typeof(InvalidDataException), "tokenizer.ggml.tokens is missing")]
    [InlineData("tokens", "x", typeof(InvalidDataException), "tokenizer.ggml.tokens should be String[], but is String")]
    [InlineData("merges", null, typeof(InvalidDataException), "tokenizer.ggml.merges is missing")]
    [InlineData("bos_token_id", 99u, typeof(InvalidDataException), "tokenizer.ggml.bos_token_id is 99")]
    [InlineData("add_bos_token", 1u, typeof(InvalidDataException), "tokenizer.ggml.add_bos_token should be Boolean")]
    public void Wrong_GGUF_metadata_is_reported_with_its_key(string key, object? value, Type type, string message)
    {
        var metadata = Metadata();
        metadata.Remove("tokenizer.ggml." + key);
        if (value is not null)
        {
            metadata["tokenizer.ggml." + key] = value;
        }

        var error = Assert.Throws(type, () => Tokenizer.FromGguf(metadata, "model.gguf"));
        Assert.Contains("model.gguf: " + message, error.Message, StringComparison.Ordinal);
    }

    private static Dictionary<string, object> Metadata() => new(StringComparer.Ordinal)
    {
        ["tokenizer.ggml.model"] = "gpt2",
        ["tokenizer.ggml.tokens"] = new[] { "a", "b", "ab", "<s>", "</s>" },
        ["tokenizer.ggml.merges"] = new[] { "a b" },
        ["tokenizer.ggml.bos_token_id"] = 3u,
        ["tokenizer.ggml.eos_token_id"] = 4u,
    };

    private string Write(string name, string content)
    {
        File.WriteAllText(Path.Combine(_folder, name), content);
        return _folder;
    }
}
