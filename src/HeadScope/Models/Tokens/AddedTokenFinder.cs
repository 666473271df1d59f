using System.Buffers;
using System.Text;

namespace HeadScope;

/// <summary>Finds added tokens in text: the leftmost first, of those that start there the longest.</summary>
internal sealed class AddedTokenFinder
{
    private readonly SearchValues<string> _contents;
    private readonly Dictionary<char, AddedToken[]> _longestFirst;

    /// <summary>Looks for these tokens by <see cref="AddedToken.Content"/>.</summary>
    public AddedTokenFinder(IReadOnlyCollection<AddedToken> tokens)
    {
        _contents = SearchValues.Create([.. tokens.Select(token => token.Content)], StringComparison.Ordinal);
        _longestFirst = tokens
            .GroupBy(token => token.Content[0])
            .ToDictionary(group => group.Key, group => group.OrderByDescending(token => token.Content.Length).ToArray());
    }

    /// <summary>A stretch of text: an added token, or what lies between two of them.</summary>
    internal readonly record struct Part(int Start, int End, AddedToken? Token);

    /// <summary>Cuts the text at the added tokens; empty stretches between them are left out.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="ignoreSpecial">Whether special tokens are ordinary text.</param>
    public List<Part> Split(ReadOnlySpan<char> text, bool ignoreSpecial)
    {
        var parts = new List<Part>();
        var done = 0;
        for (var position = 0; position < text.Length;)
        {
            var offset = text[position..].IndexOfAny(_contents);
            if (offset < 0)
            {
                break;
            }

            var start = position + offset;
            var token = LongestAt(text[start..], _longestFirst[text[start]]);
            var end = start + token.Content.Length;
            position = end;
            if ((ignoreSpecial && token.Special)
                || (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..]))))
            {
                continue;
            }

            if (token.LeftStrip)
            {
                start = Math.Max(text[..start].TrimEnd().Length, done);
            }

            if (token.RightStrip)
            {
                end = text.Length - text[end..].TrimStart().Length;
            }

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

    private static AddedToken LongestAt(ReadOnlySpan<char> text, AddedToken[] longestFirst)
    {
        var index = 0;
        while (!text.StartsWith(longestFirst[index].Content))
        {
            index++;
        }

        return longestFirst[index];
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && WordCharacters.Contains(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && WordCharacters.Contains(rune);
}
