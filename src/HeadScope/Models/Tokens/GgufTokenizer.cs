namespace HeadScope;

/// <summary>Reads the tokenizer in the metadata of a GGUF file (keys tokenizer.ggml.*).</summary>
internal static class GgufTokenizer
{
    // tokenizer.ggml.token_type
    private const int Unknown = 2;
    private const int Control = 3;
    private const int UserDefined = 4;

    public static TokenizerDefinition Read(IReadOnlyDictionary<string, object> metadata, string source)
    {
        var model = Required<string>("model");
        Fault.NotSupportedIf(model != "gpt2",
            $"{source}: tokenizer.ggml.model is '{model}', which is not supported; supported: 'gpt2' (byte-level BPE). "
            + $"For models with another tokenizer, pass token ids.");
        var tokens = Required<string[]>("tokens");
        var vocabulary = new Dictionary<string, int>(tokens.Length, StringComparer.Ordinal);
        for (var id = 0; id < tokens.Length; id++)
        {
            Fault.InvalidDataIf(!vocabulary.TryAdd(tokens[id], id),
                $"{source}: tokenizer.ggml.tokens[{id}] is '{tokens[id]}' for the second time.");
        }

        var types = Optional<int[]>("token_type") ?? new int[tokens.Length];
        Fault.InvalidDataIf(types.Length != tokens.Length,
            $"{source}: tokenizer.ggml.token_type has {types.Length} values for {tokens.Length} tokens.");
        var added = types
            .Select((type, id) => (type, id))
            .Where(token => token.type is Unknown or Control or UserDefined && tokens[token.id].Length > 0)
            .Select(token => new AddedToken(token.id, tokens[token.id], Special: token.type != UserDefined))
            .ToArray();
        var merges = Required<string[]>("merges")
            .Select((merge, rank) => TokenizerJson.Merge(merge, () => $"{source}: tokenizer.ggml.merges[{rank}]"))
            .ToArray();
        var kind = KindOf(Optional<string>("pre") ?? "default", source);
        var beginning = TokenId("bos_token_id");
        var end = TokenId("eos_token_id");
        var addBeginning = Optional<bool?>("add_bos_token") ?? kind.AddsBeginning;
        return new()
        {
            Source = source,
            Vocabulary = vocabulary,
            Merges = merges,
            AddedTokens = added,
            Compose = kind.Compose,
            Steps = [.. kind.Patterns.Select(pattern => new SplitStep(pattern))],
            PrefixSpaceBefore = Optional<bool?>("add_space_prefix") == true ? 0 : null,
            IgnoreMerges = kind.IgnoreMerges,
            Prefix = addBeginning && beginning is { } first ? [first] : [],
            Suffix = Optional<bool?>("add_eos_token") == true && end is { } last ? [last] : [],
            BeginningOfText = beginning,
            EndOfText = end,
        };

        T? Optional<T>(string name) =>
            !metadata.TryGetValue("tokenizer.ggml." + name, out var value) ? default : value is T typed ? typed : throw new InvalidDataException(
                $"{source}: tokenizer.ggml.{name} should be {(Nullable.GetUnderlyingType(typeof(T)) ?? typeof(T)).Name}, but is {value.GetType().Name}.");

        T Required<T>(string name) => Optional<T>(name) ?? throw new InvalidDataException($"{source}: tokenizer.ggml.{name} is missing.");

        // Converters write 2^32 - 1 for "none".
        int? TokenId(string name) => Optional<uint?>(name) switch
        {
            null or uint.MaxValue => null,
            { } id when id < tokens.Length => (int)id,
            { } id => throw new InvalidDataException($"{source}: tokenizer.ggml.{name} is {id}, but there are {tokens.Length} tokens."),
        };
    }

    /// <summary>What the name in tokenizer.ggml.pre stands for. The composition to NFC is not in the file; it is in the tokenizer.json of the
    /// models that use these names.</summary>
    private static Kind KindOf(string name, string source) => name switch
    {
        "default" => new(KnownPatterns.GgufDefault),
        "gpt-2" or "phi-2" => new([KnownPatterns.Gpt2]),
        "olmo" => new([KnownPatterns.Gpt2], Compose: true),
        "smollm" or "starcoder" or "refact" => new([KnownPatterns.Digit, KnownPatterns.Gpt2]),
        "llama-bpe" or "llama3" or "llama-v3" => new([KnownPatterns.Llama3], IgnoreMerges: true, AddsBeginning: true),
        "smaug-bpe" => new([KnownPatterns.Llama3]),
        "qwen2" => new([KnownPatterns.Qwen2], Compose: true),
        "deepseek-r1-qwen" => new([KnownPatterns.Qwen2]),
        "tekken" => new([KnownPatterns.Tekken], IgnoreMerges: true, AddsBeginning: true),
        _ => throw new NotSupportedException(
            $"{source}: tokenizer.ggml.pre is '{name}', which is not supported; supported: default, gpt-2, phi-2, olmo, smollm, starcoder, "
            + "refact, llama-bpe, smaug-bpe, qwen2, deepseek-r1-qwen, tekken. Use the tokenizer.json of the model instead."),
    };

    private sealed record Kind(
        IReadOnlyList<SplitPattern> Patterns, bool Compose = false, bool IgnoreMerges = false, bool AddsBeginning = false);
}
