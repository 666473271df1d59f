using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>What <c>\w</c> means to the tokenizers library: alphabetic characters, marks, decimal digits and connectors.</summary>
internal static class WordCharacters
{
    /// <summary>The symbols that are alphabetic (Other_Alphabetic outside of the marks): circled and squared Latin letters.</summary>
    public static ReadOnlySpan<(int First, int Last)> Symbols =>
        new[] { (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189) };

    /// <summary>Whether <c>\w</c> matches, or the character joins words (the zero-width joiners).</summary>
    public static bool Contains(Rune rune)
    {
        foreach (var (first, last) in Symbols)
        {
            if (rune.Value >= first && rune.Value <= last)
            {
                return true;
            }
        }

        // The categories up to LetterNumber are the letters, the marks, Nd and Nl.
        return rune.Value is 0x200C or 0x200D || Rune.GetUnicodeCategory(rune) is <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;
    }
}
