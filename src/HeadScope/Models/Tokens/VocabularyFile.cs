namespace HeadScope;

/// <summary>Reads vocab.json and merges.txt, the older pair of files, and their parts in other files.</summary>
internal static class VocabularyFile
{
    private const string Gpt2EndOfText = "<|endoftext|>";

    /// <summary>Reads the pair of files, whose settings say what kind of tokenizer they belong to; GPT-2's when they do not.</summary>
    public static TokenizerDefinition Read(string vocabularyPath, string mergesPath, TokenizerSettings settings)
    {
        var vocabulary = Entries(JsonField.Read(vocabularyPath));
        var (pattern, compose) = settings.TokenizerClass switch
        {
            null or "GPT2Tokenizer" or "GPT2TokenizerFast" or "CodeGenTokenizer" or "CodeGenTokenizerFast" => (KnownPatterns.Gpt2, false),
            "GPTNeoXTokenizer" or "GPTNeoXTokenizerFast" => (KnownPatterns.Gpt2, true),
            "Qwen2Tokenizer" or "Qwen2TokenizerFast" => (KnownPatterns.Qwen2, true),
            var other => throw new NotSupportedException(
                $"{settings.Source}: tokenizer_class is {other}, whose vocab.json and merges.txt are not supported "
                + "(GPT2Tokenizer, CodeGenTokenizer, GPTNeoXTokenizer and Qwen2Tokenizer are); use its tokenizer.json."),
        };
        var added = settings.AddedTokens.ToList();
        var names = new[] { settings.BeginningOfText, settings.EndOfText, settings.Unknown, settings.Source is null ? Gpt2EndOfText : null };
        foreach (var name in names.OfType<string>().Distinct(StringComparer.Ordinal))
        {
            if (added.TrueForAll(token => token.Content != name) && vocabulary.TryGetValue(name, out var id))
            {
                added.Add(new(id, name, Special: true));
            }
        }

        var definition = TextEnds.AddTo(
            new TokenizerDefinition
            {
                Source = vocabularyPath,
                Vocabulary = vocabulary,
                Merges = [.. Merges(mergesPath)],
                AddedTokens = added,
                Compose = compose,
                Steps = [new(pattern)],
                PrefixSpaceBefore = settings.AddPrefixSpace ? 0 : null,
                UnknownToken = settings.Unknown is { } unknown && vocabulary.ContainsKey(unknown) ? unknown : null,
            },
            settings);
        return definition with
        {
            Prefix = settings.AddBeginning && definition.BeginningOfText is { } beginning ? [beginning] : [],
            Suffix = settings.AddEnd && definition.EndOfText is { } end ? [end] : [],
        };
    }

    /// <summary>Reads an object of entries and their numbers.</summary>
    public static Dictionary<string, int> Entries(JsonField vocabulary)
    {
        var entries = new Dictionary<string, int>(vocabulary.Count, StringComparer.Ordinal);
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

    private static IEnumerable<(string Left, string Right)> Merges(string path)
    {
        var number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
            if (line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal))
            {
                var here = number;
                yield return Merge(line, () => $"{path}: line {here}");
            }
        }
    }
}
