using System.Buffers;

namespace HeadScope;

/// <summary>Finds added tokens in text: the leftmost first, of those that start there the longest.</summary>
internal sealed class AddedTokenFinder(IReadOnlyCollection<AddedToken> tokens)
{
    private readonly SearchValues<string> _contents =
        SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);

    private readonly AddedToken[] _longestFirst = [.. tokens.OrderByDescending(token => token.Content.Length)];

    /// <summary>A stretch of text: an added token, or what lies between two of them.</summary>
    internal readonly record struct Part(int Start, int End, AddedToken? Token);

    /// <summary>Cuts the text at the added tokens, special ones only where they are no ordinary text; no stretch is empty.</summary>
    public List<Part> Split(ReadOnlySpan<char> text, bool ignoreSpecial)
    {
        var parts = new List<Part>();
        var done = 0;
        for (var position = 0; text[position..].IndexOfAny(_contents) is >= 0 and var offset;)
        {
            var start = position + offset;
            var index = 0;
            while (!text[start..].StartsWith(_longestFirst[index].Content))
            {
                index++;
            }

            var token = _longestFirst[index];
            var end = start + token.Content.Length;
            position = end;
            if ((ignoreSpecial && token.Special)
                || (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..]))))
            {
                continue;
            }

            start = token.LeftStrip ? Math.Max(text[..start].TrimEnd().Length, done) : start;
            end = token.RightStrip ? text.Length - text[end..].TrimStart().Length : end;
            if (done < start)
            {
                parts.Add(new(done, start, null));
            }

            parts.Add(new(start, end, token));
            done = end;
        }

        if (done < text.Length)
        {
            parts.Add(new(done, text.Length, null));
        }

        return parts;
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && WordCharacters.Contains(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && WordCharacters.Contains(rune);
}

/// <summary>What <c>\w</c> means to the tokenizers library: alphabetic characters, marks, decimal digits and connectors.</summary>
internal static class WordCharacters
{
    /// <summary>The symbols that are alphabetic (Other_Alphabetic outside of the marks): circled and squared Latin letters.</summary>
    public static readonly (int First, int Last)[] Symbols = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)];

    /// <summary>Whether <c>\w</c> matches, or the character joins words (the zero-width joiners).</summary>
    public static bool Contains(Rune rune) =>
        rune.Value is 0x200C or 0x200D

        // The categories up to LetterNumber are the letters, the marks, Nd and Nl.
        || Rune.GetUnicodeCategory(rune) is <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation
        || Array.Exists(Symbols, range => range.First <= rune.Value && rune.Value <= range.Last);
}
