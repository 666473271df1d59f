using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

public class SplitPatternTests
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

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
    [InlineData(@"\p{Han}+", "Han")]
    [InlineData("^a", "'^'")]
    [InlineData(@"a\b", "'\\b'")]
    [InlineData("(?<=a)b", "group")]
    [InlineData("(?<name>a)", "group")]
    [InlineData("[a&&b]", "class")]
    [InlineData("[[:alpha:]]", "class")]
    [InlineData("[b-a]", "range")]
    [InlineData("[a", "']'")]
    [InlineData("(a", "')'")]
    [InlineData("a)", "')'")]
    [InlineData("a**", "quantifier")]
    [InlineData("a{2,1}", "counts")]
    [InlineData("a{5000}", "counts")]
    [InlineData("(?:a*)*b", "repetition")]
    [InlineData("(?:a?|b?){40}c", "repetition")]
    [InlineData("a{2}?", "quantifier")]
    [InlineData(@"[a\W]", "escape")]
    [InlineData("[a[^b]]", "class")]
    [InlineData(@"(?i:\p{Lu})", "Lu")]
    [InlineData("[\U00010000-\U00010010\U00010008-\U00010020]", "overlap")]
    [InlineData("a*", "empty")]
    [InlineData("", "empty")]
    [InlineData("\\", "backslash")]
    [InlineData("(?i:ß)", "fold")]
    [InlineData("(?i:ss)", "fold")]
    public void What_is_not_supported_is_refused(string pattern, string reason)
    {
        var error = Assert.Throws<NotSupportedException>(() => new SplitPattern(pattern));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    private static List<(int Start, int End)> Matches(SplitPattern pattern, string text) => pattern.Find(text, SplitPattern.DeadlineFor(text));
}
