using FsCheck;
using FsCheck.Fluent;

namespace HeadScope.Tests;

public class CanonicalCompositionTests
{
    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("e\u0301", "é")]
    [InlineData("\u212B", "Å")]
    [InlineData("x e\u0301y\u2026 e\u0301", "x éy… é")]
    [InlineData("a\u0307\u0323", "\u1EA1\u0307")]
    [InlineData("q\u0307\u0323", "q\u0323\u0307")]
    [InlineData("\u1100\u1161\u11A8", "각")]
    [InlineData("가\u11A8", "각")]
    [InlineData("\uFB01", "\uFB01")]
    [InlineData("\u0958", "\u0915\u093C")]
    [InlineData("\u0344", "\u0308\u0301")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\U0002F800", "\u4E3D")]
    [InlineData("\u0301e\u0301", "\u0301é")]
    [InlineData("a\u0334\u0301", "á\u0334")]
    [InlineData("\U00011099\U000110BA", "\U0001109A")]
    public void Text_is_composed_as_the_standard_says(string text, string expected) =>
        Assert.Equal(expected, CanonicalComposition.Normalize(text));

    [Fact]
    public void Composed_text_stays_as_it_is_and_equivalent_text_becomes_the_same()
    {
        var text = Gen.Elements("aeq\u00E9\u0301\u0323\u0307\u0334\u1100\u1161\u11A8가각\u212B\u0958 漢".ToCharArray())
            .ListOf().Select(characters => string.Concat(characters));
        Prop.ForAll(text.ToArbitrary(), text.ToArbitrary(), (first, second) =>
        {
            var composed = CanonicalComposition.Normalize(first);
            return CanonicalComposition.Normalize(composed) == composed
                && CanonicalComposition.Normalize(first + " " + second) == composed + " " + CanonicalComposition.Normalize(second)
                && CanonicalComposition.Normalize(composed + second) == CanonicalComposition.Normalize(first + second);
        }).QuickCheckThrowOnFailure();
    }
}
