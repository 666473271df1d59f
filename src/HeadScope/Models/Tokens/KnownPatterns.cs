namespace HeadScope;

/// <summary>The published patterns that files name instead of holding them.</summary>
internal static class KnownPatterns
{
    /// <summary>GPT-2 (its encoder.py), also Pythia, Phi-2 and the ByteLevel step of tokenizer.json.</summary>
    public static SplitPattern Gpt2 { get; } = new(
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+");

    /// <summary>Llama 3.</summary>
    public static SplitPattern Llama3 { get; } = new(
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");

    /// <summary>Qwen 2: as Llama 3 with one digit at a time.</summary>
    public static SplitPattern Qwen2 { get; } = new(
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");

    /// <summary>Mistral's Tekken: words end where lower case turns into upper case.</summary>
    public static SplitPattern Tekken { get; } = new(
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        + @"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+");

    /// <summary>One numeric character at a time, as the Digits step means it: ½ and Ⅷ are numeric.</summary>
    public static SplitPattern Digit { get; } = new(@"\p{N}");

    /// <summary>A run of numeric characters.</summary>
    public static SplitPattern Digits { get; } = new(@"\p{N}+");

    /// <summary>What llama.cpp does when a GGUF file says "default" or nothing.</summary>
    public static IReadOnlyList<SplitPattern> GgufDefault { get; } =
        [new(@"[\p{P}\$\+<=>\^~\|]+"), Gpt2, Digits, new("[0-9][0-9][0-9]")];
}
