using System.Text.RegularExpressions;

namespace HeadScope;

/// <summary>The published patterns that files name instead of holding them; those of most models are compiled with the library.</summary>
internal static partial class KnownPatterns
{
    private const string Gpt2Text = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string DigitText = @"\p{N}";
    private const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string ContractionsTranslated = @"(?i:'[s\u017F]|'t|'re|'ve|'m|'ll|'d)";
    private const string Llama3Words = @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2Words = @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>GPT-2 (its encoder.py), also Pythia, Phi-2 and the ByteLevel step of tokenizer.json.</summary>
    public static SplitPattern Gpt2 { get; } = new(Gpt2Text);

    /// <summary>Llama 3.</summary>
    public static SplitPattern Llama3 { get; } = new(Contractions + Llama3Words);

    /// <summary>Qwen 2: as Llama 3 with one digit at a time.</summary>
    public static SplitPattern Qwen2 { get; } = new(Contractions + Qwen2Words);

    /// <summary>Mistral's Tekken: words end where lower case turns into upper case.</summary>
    public static SplitPattern Tekken { get; } = new(
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        + @"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+");

    /// <summary>One numeric character at a time, as the Digits step means it: ½ and Ⅷ are numeric.</summary>
    public static SplitPattern Digit { get; } = new(DigitText);

    /// <summary>A run of numeric characters.</summary>
    public static SplitPattern Digits { get; } = new(@"\p{N}+");

    /// <summary>What llama.cpp does when a GGUF file says "default" or nothing.</summary>
    public static IReadOnlyList<SplitPattern> GgufDefault { get; } =
        [new(@"[\p{P}\$\+<=>\^~\|]+"), Gpt2, Digits, new("[0-9][0-9][0-9]")];

    [GeneratedRegex(Gpt2Text, RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex Gpt2Compiled { get; }

    [GeneratedRegex(ContractionsTranslated + Llama3Words, RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex Llama3Compiled { get; }

    [GeneratedRegex(ContractionsTranslated + Qwen2Words, RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex Qwen2Compiled { get; }

    [GeneratedRegex(DigitText, RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex DigitCompiled { get; }

    /// <summary>The compiled form of a translated pattern, if there is one: twice as fast as an interpreted one, at no cost when it starts.</summary>
    public static Regex? Compiled(string translated) =>
        Array.Find([Gpt2Compiled, Llama3Compiled, Qwen2Compiled, DigitCompiled], regex => regex.ToString() == translated);
}
