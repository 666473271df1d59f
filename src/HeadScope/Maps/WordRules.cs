namespace HeadScope;

/// <summary>Two tokens, and the words in them: without the spaces around, as they are and in lower case.</summary>
internal sealed record WordPair(int SourceToken, string SourceText, int TargetToken, string TargetText)
{
    public string Source { get; } = SourceText.Trim();

    public string Target { get; } = TargetText.Trim();

    public string FoldedSource { get; } = SourceText.Trim().ToLowerInvariant();

    public string FoldedTarget { get; } = TargetText.Trim().ToLowerInvariant();
}

/// <summary>Simple regularities between two words.</summary>
internal static class WordRules
{
    private static readonly HashSet<(string, string)> Translations =
    [
        .. Relations.EnglishToFrench.Pairs.Concat(Relations.EnglishToSpanish.Pairs)
            .Select(p => (p.Source.ToLowerInvariant(), p.Target.ToLowerInvariant()))
            .Where(p => !Same(p.Item1, p.Item2))
            .SelectMany(p => ((string, string)[])[p, (p.Item2, p.Item1)]),
    ];

    // What comes next: numbers in words, days, months, letters.
    private static readonly HashSet<(string, string)> Steps =
    [
        .. ((string[])
        [
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty",
            "first second third fourth fifth sixth seventh eighth ninth tenth",
            "monday tuesday wednesday thursday friday saturday sunday monday",
            "january february march april may june july august september october november december january",
            "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        ]).Select(words => words.Split(' ')).SelectMany(words => words.Zip(words.Skip(1))),
    ];

    private static readonly Dictionary<string, string> IrregularPlurals =
        "man men woman women child children person people foot feet tooth teeth goose geese mouse mice ox oxen analysis analyses crisis crises"
            .Split(' ').Chunk(2).ToDictionary(p => p[0], p => p[1], StringComparer.Ordinal);

    // Words of one kind, as the shipped relations know them: countries, capitals, animals, colours, given names, …
    private static readonly Lazy<ILookup<string, string>> Kinds = new(() => new[]
    {
        Relations.CountryToCapital.Pairs.SelectMany(p => Kind((p.Source, "country"), (p.Target, "capital"))),
        Relations.CountryToLanguage.Pairs.SelectMany(p => Kind((p.Source, "country"), (p.Target, "language"))),
        Relations.ObjectToSuperclass.Pairs.SelectMany(p => Kind((p.Source, p.Target))),
        Relations.ProductToCompany.Pairs.SelectMany(p => Kind((p.Source, "product"), (p.Target, "company"))),
        Relations.WorkToLocation.Pairs.SelectMany(p => Kind((p.Source, "profession"), (p.Target, "place"))),
        Relations.NameCopying.Pairs.SelectMany(p => Kind((p.Source, "given name"))),
    }.SelectMany(pairs => pairs).ToLookup(p => p.Word.ToLowerInvariant(), p => p.Kind, StringComparer.Ordinal));

    /// <summary>The regularities, with the test of each.</summary>
    public static IReadOnlyList<(string Name, Func<WordPair, bool> Holds)> All { get; } =
    [
        ("same token", p => p.SourceToken == p.TargetToken),
        ("same word, leading space changed", p => p.SourceToken != p.TargetToken && Same(p.Source, p.Target)),
        ("same word, case changed", p => !Same(p.Source, p.Target) && Same(p.FoldedSource, p.FoldedTarget)),
        ("plural of the word", p => IsPlural(p.FoldedSource, p.FoldedTarget)),
        ("singular of the word", p => IsPlural(p.FoldedTarget, p.FoldedSource)),
        ("suffix added", p => IsPart(p) && p.FoldedTarget.StartsWith(p.FoldedSource, StringComparison.Ordinal)),
        ("prefix added", p => IsPart(p) && p.FoldedTarget.EndsWith(p.FoldedSource, StringComparison.Ordinal)),
        ("first letter", p => IsWord(p.FoldedSource) && Same(p.FoldedTarget, p.FoldedSource[..1])),
        ("last letter", p => IsWord(p.FoldedSource) && Same(p.FoldedTarget, p.FoldedSource[^1..])),
        ("next in a sequence", p => Follows(p.FoldedSource, p.FoldedTarget)),
        ("translation", p => Translations.Contains((p.FoldedSource, p.FoldedTarget))),
        ("another script", p => Script(p.Source) is { } a && Script(p.Target) is { } b && !Same(a, b)),
        ("same category", p => !Same(p.FoldedSource, p.FoldedTarget) && Kinds.Value[p.FoldedSource].Intersect(Kinds.Value[p.FoldedTarget], StringComparer.Ordinal).Any()),
    ];

    private static (string Word, string Kind)[] Kind(params (string Word, string Kind)[] words) => words;

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.Ordinal);

    private static bool IsWord(string text) => text.Length > 1 && text.All(char.IsLetter);

    private static bool IsPart(WordPair pair) => IsWord(pair.FoldedSource) && pair.FoldedTarget.Length > pair.FoldedSource.Length;

    private static bool Follows(string first, string second) =>
        Steps.Contains((first, second))
        || (long.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            && long.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out var next)
            && n < long.MaxValue && n + 1 == next);

    private static bool IsPlural(string noun, string plural)
    {
        if (IrregularPlurals.TryGetValue(noun, out var irregular))
        {
            return Same(plural, irregular);
        }

        bool Ends(string end) => noun.EndsWith(end, StringComparison.Ordinal);
        bool IsWith(int cut, string end) => Same(plural, noun[..^cut] + end);
        return noun.Length >= 2 && (
            Ends("s") || Ends("x") || Ends("z") || Ends("ch") || Ends("sh") ? IsWith(0, "es")
            : Ends("y") && !"aeiou".Contains(noun[^2], StringComparison.Ordinal) ? IsWith(1, "ies")
            : IsWith(0, "s") || (Ends("o") && IsWith(0, "es")) || (Ends("f") && IsWith(1, "ves")) || (Ends("fe") && IsWith(2, "ves")));
    }

    // Of a text that holds letters, all in one script, which; else null.
    private static string? Script(string text)
    {
        string[] scripts = [.. text.EnumerateRunes().Where(Rune.IsLetter).Select(rune => ScriptOf(rune.Value)).Distinct(StringComparer.Ordinal)];
        return scripts.Length == 1 ? scripts[0] : null;
    }

    private static string ScriptOf(int rune) => rune switch
    {
        < 0x250 or (>= 0x1E00 and < 0x1F00) or (>= 0xFF21 and < 0xFF5B) => "Latin",
        (>= 0x370 and < 0x400) or (>= 0x1F00 and < 0x2000) => "Greek",
        >= 0x400 and < 0x530 => "Cyrillic",
        >= 0x530 and < 0x590 => "Armenian",
        >= 0x590 and < 0x600 => "Hebrew",
        >= 0x600 and < 0x780 => "Arabic",
        >= 0x900 and < 0xE00 => "Indic",
        >= 0xE00 and < 0xE80 => "Thai",
        >= 0x10A0 and < 0x1100 => "Georgian",
        (>= 0x1100 and < 0x1200) or (>= 0xAC00 and < 0xD7B0) => "Hangul",
        >= 0x3040 and < 0x3100 => "Kana",
        >= 0x3400 and < 0xA000 => "Han",
        _ => "another",
    };
}
