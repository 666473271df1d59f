using System.Text;

namespace HeadScope;

/// <summary>Reads vocab.json and merges.txt, the older pair of files, and their parts in other files.</summary>
internal static class VocabularyFile
{
    /// <summary>Reads the pair of files, whose settings say what kind of tokenizer they belong to; GPT-2's when they do not.</summary>
    public static TokenizerDefinition Read(string vocabularyPath, string mergesPath, TokenizerSettings settings)
    {
        var vocabulary = Entries(JsonField.Read(vocabularyPath));
        var (pattern, compose) = settings.File?.Optional("tokenizer_class")?.Text() switch
        {
            null or "GPT2Tokenizer" or "GPT2TokenizerFast" or "CodeGenTokenizer" or "CodeGenTokenizerFast" => (KnownPatterns.Gpt2, false),
            "GPTNeoXTokenizer" or "GPTNeoXTokenizerFast" => (KnownPatterns.Gpt2, true),
            "Qwen2Tokenizer" or "Qwen2TokenizerFast" => (KnownPatterns.Qwen2, true),
            var other => throw new NotSupportedException(
                $"{settings.File?.File}: tokenizer_class is {other}, whose vocab.json and merges.txt are not supported "
                + "(GPT2Tokenizer, CodeGenTokenizer, GPTNeoXTokenizer and Qwen2Tokenizer are); use its tokenizer.json."),
        };
        var unknown = settings.Token("unk_token");
        var added = settings.AddedTokens.ToList();
        string?[] names = settings.File is null ? ["<|endoftext|>"] : [settings.Token("bos_token"), settings.Token("eos_token"), unknown];
        foreach (var name in names.OfType<string>())
        {
            if (added.TrueForAll(token => token.Content != name) && vocabulary.TryGetValue(name, out var id))
            {
                added.Add(new(id, name, Special: true));
            }
        }

        var definition = settings.AddEndsTo(new()
        {
            Source = vocabularyPath,
            Vocabulary = vocabulary,
            Merges = [.. Merges(mergesPath)],
            AddedTokens = added,
            Compose = compose,
            Steps = [new(pattern)],
            PrefixSpaceBefore = settings.Flag("add_prefix_space") ? 0 : null,
            UnknownToken = unknown is not null && vocabulary.ContainsKey(unknown) ? unknown : null,
        });
        return definition with
        {
            Prefix = settings.Flag("add_bos_token") && definition.BeginningOfText is { } beginning ? [beginning] : [],
            Suffix = settings.Flag("add_eos_token") && definition.EndOfText is { } end ? [end] : [],
        };
    }

    /// <summary>Reads an object of entries and their numbers.</summary>
    public static Dictionary<string, int> Entries(JsonField vocabulary)
    {
        var entries = new Dictionary<string, int>(1 << 16, StringComparer.Ordinal);
        foreach (var (entry, field) in vocabulary.Members())
        {
            if (!entries.TryAdd(entry, field.TokenId()))
            {
                throw new InvalidDataException($"{field.Name} is in the vocabulary twice.");
            }
        }

        return entries.Count > 0 ? entries : throw new InvalidDataException($"{vocabulary.Name} has no entries.");
    }

    /// <summary>Splits "left right".</summary>
    public static (string Left, string Right) Merge(string text, Func<string> where)
    {
        var space = text.IndexOf(' ');
        return space > 0 && space < text.Length - 1 && text.IndexOf(' ', space + 1) < 0
            ? (text[..space], text[(space + 1)..])
            : throw new InvalidDataException($"{where()} should be two entries with a space between, but is '{text}'.");
    }

    private static IEnumerable<(string Left, string Right)> Merges(string path) => Encoding.UTF8.GetString(RegularFile.ReadAllBytes(path))
        .TrimStart('\uFEFF').Split('\n').Select(line => line.TrimEnd('\r')).Index()
        .Where(line => line.Item.Length > 0 && !line.Item.StartsWith("#version", StringComparison.Ordinal))
        .Select(line => Merge(line.Item, () => $"{path}: line {line.Index + 1}"));
}
