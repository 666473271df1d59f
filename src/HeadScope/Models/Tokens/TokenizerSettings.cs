namespace HeadScope;

/// <summary>What tokenizer_config.json, or the older special_tokens_map.json, adds to a tokenizer: which tokens begin and end a text, added
/// tokens that the tokenizer's own file may lack, and the kind of an older tokenizer, whose files (vocab.json and merges.txt) do not say
/// it.</summary>
/// <param name="File">The file's content; null when there is none.</param>
internal sealed record TokenizerSettings(JsonField? File)
{
    public IEnumerable<AddedToken> AddedTokens => (File?.Optional("added_tokens_decoder")?.Members() ?? []).Select(member =>
        int.TryParse(member.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? TokenizerJson.AddedToken(member.Field, id)
            : throw new InvalidDataException($"{member.Field.Name} is not named by a token number."));

    public static TokenizerSettings OfFolder(string folder) => new(
        new[] { "tokenizer_config.json", "special_tokens_map.json" }
            .Select(name => Path.Combine(folder, name))
            .FirstOrDefault(System.IO.File.Exists) is { } path ? JsonField.Read(path) : null);

    /// <summary>Fills in which tokens begin and end a text: those the file names, be it "none"; else those of the template; else those of the
    /// customary names.</summary>
    public TokenizerDefinition AddEndsTo(TokenizerDefinition definition)
    {
        var added = definition.AddedTokens.ToLookup(token => token.Content, StringComparer.Ordinal);
        if (File is { } file && (file.Has("bos_token") || file.Has("eos_token")))
        {
            return definition with { BeginningOfText = Named("bos_token"), EndOfText = Named("eos_token") };
        }

        return definition with
        {
            BeginningOfText = definition.Prefix is [var first, ..] ? first : Customary("<|begin_of_text|>", "<s>", "<|endoftext|>"),
            EndOfText = definition.Suffix is [.., var last] ? last : Customary("<|end_of_text|>", "</s>", "<|endoftext|>"),
        };

        int? Named(string key) =>
            Token(key) is not { } name ? null
            : added[name].FirstOrDefault() is { } token ? token.Id
            : definition.Vocabulary.TryGetValue(name, out var id) ? id
            : null;

        int? Customary(params string[] names) => names.SelectMany(name => added[name]).FirstOrDefault(token => token.Special)?.Id;
    }

    /// <summary>Reads vocab.json and merges.txt; GPT-2's where the settings do not say whose they are.</summary>
    public TokenizerDefinition ReadPair(string vocabularyPath, string mergesPath)
    {
        var vocabulary = TokenizerJson.Vocabulary(JsonField.Read(vocabularyPath));
        var kind = File?.Optional("tokenizer_class");
        var (pattern, compose) = kind?.Text() switch
        {
            null or "GPT2Tokenizer" or "GPT2TokenizerFast" or "CodeGenTokenizer" or "CodeGenTokenizerFast" => (KnownPatterns.Gpt2, false),
            "GPTNeoXTokenizer" or "GPTNeoXTokenizerFast" => (KnownPatterns.Gpt2, true),
            "Qwen2Tokenizer" or "Qwen2TokenizerFast" => (KnownPatterns.Qwen2, true),
            _ => throw kind!.Value.Refuse(
                "of the kinds with vocab.json and merges.txt these are: GPT2Tokenizer, CodeGenTokenizer, GPTNeoXTokenizer and Qwen2Tokenizer. Use its "
                + "tokenizer.json"),
        };
        var unknown = Token("unk_token");
        var added = AddedTokens.ToList();
        string?[] names = File is null ? ["<|endoftext|>"] : [Token("bos_token"), Token("eos_token"), unknown];
        added.AddRange(names.OfType<string>().Except(added.Select(token => token.Content), StringComparer.Ordinal).Where(vocabulary.ContainsKey)
            .Select(name => new AddedToken(vocabulary[name], name, Special: true)).ToList());
        bool Flag(string key) => File?.Flag(key) ?? false;
        var definition = AddEndsTo(new()
        {
            Source = vocabularyPath,
            Vocabulary = vocabulary,
            Merges =
            [
                .. Encoding.UTF8.GetString(RegularFile.ReadAllBytes(mergesPath)).TrimStart('\uFEFF').Split('\n').Select(line => line.TrimEnd('\r'))
                    .Index().Where(line => line.Item.Length > 0 && !line.Item.StartsWith("#version", StringComparison.Ordinal))
                    .Select(line => TokenizerJson.Merge(line.Item, () => $"{mergesPath}: line {line.Index + 1}")),
            ],
            AddedTokens = added,
            Compose = compose,
            Steps = [new(pattern)],
            PrefixSpaceBefore = Flag("add_prefix_space") ? 0 : null,
            UnknownToken = unknown is not null && vocabulary.ContainsKey(unknown) ? unknown : null,
        });
        return definition with
        {
            Prefix = Flag("add_bos_token") && definition.BeginningOfText is { } beginning ? [beginning] : [],
            Suffix = Flag("add_eos_token") && definition.EndOfText is { } end ? [end] : [],
        };
    }

    // The name of a token, such as bos_token; null when it is absent.
    private string? Token(string key) =>
        File?.Optional(key) is not { } field ? null
        : field.Value.ValueKind == JsonValueKind.Object ? field.Required("content").Text()
        : field.Text();
}
