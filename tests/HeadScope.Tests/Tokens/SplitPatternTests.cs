using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

public class SplitPatternTests
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    [Theory]
    [InlineData(Gpt2)]
    [InlineData(@"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")]
    [InlineData(@"(?:ab|a)+b|(?>a|ab)c|[^\S\n]+|\D\d*")]
    [InlineData(@"\p{L}{2,4}?|(?:12|\s){1,3}?|\S+?(?=\s)|[\s\S]")]
    [InlineData(@"(?:a|b)*c|(?!b)[a-c]|\x41|\u00e9+|\d{2}|[+\-\]]")]
    public void Finds_what_the_dotnet_engine_finds_in_the_basic_plane(string pattern)
    {
        var ours = new SplitPattern(pattern);
        var theirs = new Regex(pattern, RegexOptions.CultureInvariant);
        var text = Gen.Elements("aabbc 112\n\r\t'-+].Aéß漢½\u0301\u00A0std".ToCharArray()).ListOf().Select(characters => string.Concat(characters));
        Prop.ForAll(
            text.ToArbitrary(),
            value => Matches(ours, value).SequenceEqual(theirs.Matches(value).Select(match => (match.Index, match.Index + match.Length))))
            .QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(@"\p{L}", "\U0001D49C\U00020BB7", 2)]
    [InlineData(@"\p{N}", "\U0001D7D8½Ⅷ", 3)]
    [InlineData(@"[^\p{L}]", "\U0001F600", 1)]
    [InlineData("[\U0001F600-\U0001F64F]", "\U0001F600\U0001F601x", 2)]
    public void A_character_beyond_the_basic_plane_is_one_character(string pattern, string text, int count) =>
        Assert.Equal(count, Matches(new SplitPattern(pattern), text).Count);

    [Theory]
    [InlineData("(?i:'s)", "'s'S'\u017F", 3)]
    [InlineData("(?i:k)", "kK\u212A", 3)]
    [InlineData("(?i:[^s])", "sS\u017Ft", 1)]
    [InlineData("(?i:a)a", "AaaAaa", 2)]
    public void Ignoring_case_folds_as_Unicode_does(string pattern, string text, int count) =>
        Assert.Equal(count, Matches(new SplitPattern(pattern), text).Count);

    [Fact]
    public void A_long_text_does_not_exhaust_the_stack() =>
        Assert.Equal([(0, 2_000_000)], Matches(new SplitPattern("(?:ab)+"), string.Concat(Enumerable.Repeat("ab", 1_000_000))));

    [Theory]
    [InlineData(@"\p{Han}+", @"'\p{Han}+' at position 0")]
    [InlineData("^a", "'^a'")]
    [InlineData(@"a\b", @"'\b'")]
    [InlineData("(?<=a)b", "'(?<=a)b'")]
    [InlineData("(?<name>a)", "'(?<name>")]
    [InlineData("[a&&b]", "'&&b]'")]
    [InlineData("[[:alpha:]]", "'[:alpha:")]
    [InlineData("[a[^b]]", "'[^b]]'")]
    [InlineData("[]", "'[]'")]
    [InlineData("[^]", "'[^]'")]
    [InlineData("[a[]]", "'[]]'")]
    [InlineData("[b-a]", "a range")]
    [InlineData("[a", "an end")]
    [InlineData("(a", "a group without ')'")]
    [InlineData("a)", "an unmatched ')'")]
    [InlineData("a**", "'*'")]
    [InlineData("a{2}?", "'?'")]
    [InlineData("a{2,1}", "{2,1}")]
    [InlineData("a{50000}", "'{50000}'")]
    [InlineData("a{,3}", "'{,3}'")]
    [InlineData("(?:a*)*b", "a repetition of what can be empty")]
    [InlineData("(?:a?|b?){40}c", "a repetition of what can be empty")]
    [InlineData("(?=a)+b", "a repetition of what can be empty")]
    [InlineData("(?:a++){2}", "or of an atomic group")]
    [InlineData(@"[z-\D]", @"'z-\D]'")]
    [InlineData("(?i:[\U00010400])", "(?i:…)")]
    [InlineData("a*", "the empty text")]
    [InlineData("a|(?=b)", "the empty text")]
    [InlineData("", "the empty text")]
    [InlineData("\\", "'\\'")]
    [InlineData(@"\a", @"'\a'")]
    [InlineData(@"\x{110000}", "this character number")]
    [InlineData(@"[a\W]", @"\W in a class")]
    [InlineData("(?i:ß)", "fold")]
    [InlineData("(?i:ss)", "fold")]
    [InlineData(@"(?i:\p{Lu})", @"\p{Lu}")]
    public void What_is_not_supported_is_refused(string pattern, string reason)
    {
        var error = Assert.Throws<NotSupportedException>(() => new SplitPattern(pattern));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nesting_and_length_are_bounded()
    {
        Assert.Single(Matches(new SplitPattern(Nested("(?:", 30)), "a"));
        Assert.Single(Matches(new SplitPattern(Nested("[", 5000)), "a"));
        foreach (var pattern in new[] { Nested("(", 33), Nested("(?:", 6000), Nested("(", 100_000), new string('a', 100_000), "\uD800", Ranges(21) })
        {
            var error = Assert.Throws<NotSupportedException>(() => new SplitPattern(pattern, "tokenizer.json: here"));
            Assert.StartsWith("tokenizer.json: here: The pattern ", error.Message, StringComparison.Ordinal);
            Assert.InRange(error.Message.Length, 0, 300);
        }

        static string Ranges(int count) => string.Concat(Enumerable.Range(0x10000, count).Select(char.ConvertFromUtf32));
        static string Nested(string open, int depth) =>
            string.Concat(Enumerable.Repeat(open, depth)) + "a" + new string(open == "[" ? ']' : ')', depth);
    }

    [Theory]
    [InlineData(@"(?:\w+\d?)+!|.", 60)]
    [InlineData("a*.*a*.*a*.*!|.", 3000)]
    [InlineData("(?:a|a)*b|.", 100_000)]
    public void A_pattern_that_can_match_in_too_many_ways_is_given_up(string pattern, int length)
    {
        var split = new SplitPattern(pattern, "tokenizer.json: here");
        var error = Assert.Throws<InvalidDataException>(() => Matches(split, new string('a', length) + "\nXbd"));
        Assert.Contains("tokenizer.json: here: the pattern", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[\U00010400-\U0001044F\U00010CC0-\U00010CF2a-c]+", "a\U00010400\U00010428\U00010450\U00010CC0b", "a\U00010400\U00010428|\U00010CC0b")]
    [InlineData("\U0001F600+|[^\U0001F601]", "\U0001F600\U0001F600\U0001F601\U0001F602", "\U0001F600\U0001F600|\U0001F602")]
    [InlineData(@"\w+", "a\U0001F130\U0001F12F_\u24B6\u0301-Ⅷ½", "a\U0001F130|_\u24B6\u0301|Ⅷ")]
    [InlineData(@"\W|\x{1F130}", "a\U0001F130\U0001F12F-", "\U0001F130|\U0001F12F|-")]
    [InlineData("[^(\\s|[.,!?…。，、।۔،])]+", "a(b c…漢。\U00020BB7|\U0001F600", "a|b|c|漢|\U00020BB7|\U0001F600")]
    [InlineData(@"\p{L}?+\p{^L}", "a\U0001D49C\U0001F600\U0001D7D8\U0001D49C", "\U0001D49C\U0001F600|\U0001D7D8")]
    [InlineData(@"a?+a|[\x{41}-\u0043]|\.", "aaa.B", "aa|.|B")]
    [InlineData("[\U00010000-\U00010010\U00010008-\U00010020]+", "\U00010000\U00010009\U00010019\U00010021", "\U00010000\U00010009\U00010019")]
    [InlineData("[\u0000-\uFFFF]", "a\U0001F600", null)]
    public void What_other_engines_write_or_see_differently_means_what_it_says(string pattern, string text, string? pieces)
    {
        var split = new SplitPattern(pattern, "tokenizer.json: here");
        if (pieces is null)
        {
            Assert.StartsWith("tokenizer.json: here", Assert.Throws<InvalidDataException>(() => Matches(split, text)).Message, StringComparison.Ordinal);
            return;
        }

        Assert.Equal(pieces, string.Join('|', Matches(split, text).Select(match => text[match.Start..match.End])));
    }

    [Fact]
    public void Characters_beyond_the_basic_plane_match_as_those_of_their_category()
    {
        // Of each pair both are letters, digits, marks, symbols, so a pattern that names categories only must cut at the same places.
        (string Beyond, string Basic)[] pairs =
            [("\U0001D49C", "Ж"), ("\U00020BB7", "漢"), ("\U0001D7D8", "٣"), ("\U0001F600", "☀"), ("\U0001D165", "\u0903"), ("\U0001D4EA", "ж")];
        var text = Gen.Elements(pairs.Select(pair => pair.Beyond).Concat(["a", " ", "B", "1", "\n", "!", "'s"]).ToArray()).ListOf();
        var patterns = new[] { Gpt2, Llama3, @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}|\w+|.", @"\S\s?" }
            .Select(pattern => new SplitPattern(pattern)).ToArray();
        Prop.ForAll(text.ToArbitrary(), parts => patterns.All(pattern =>
        {
            var whole = string.Concat(parts);
            return Matches(pattern, whole).Select(match => Basic(whole[match.Start..match.End]))
                .SequenceEqual(Matches(pattern, Basic(whole)).Select(match => Basic(whole)[match.Start..match.End]));
        })).QuickCheckThrowOnFailure();

        string Basic(string value) => pairs.Aggregate(value, (all, pair) => all.Replace(pair.Beyond, pair.Basic, StringComparison.Ordinal));
    }

    [Fact]
    public void Patterns_compiled_with_the_library_are_the_published_ones()
    {
        foreach (var published in new[] { Gpt2, Llama3, Llama3.Replace("{1,3}", "", StringComparison.Ordinal), @"\p{N}" })
        {
            Assert.NotNull(KnownPatterns.Compiled(SplitPatternSyntax.Translate(published).Pattern));
        }
    }

    private static List<(int Start, int End)> Matches(SplitPattern pattern, string text) => pattern.Find(text, SplitPattern.DeadlineFor(text));
}
