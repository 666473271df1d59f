using System.Text;
using System.Text.RegularExpressions;

namespace HeadScope;

/// <summary>A pattern that cuts text into pieces, written in Oniguruma's syntax as tokenizer files have it and run by .NET's <see cref="Regex"/>.</summary>
/// <remarks>
/// Oniguruma sees code points, .NET UTF-16 units, to which a letter beyond U+FFFF is two surrogates and no letter. So such characters
/// are matched through a shadow of the text, in which each is one stand-in from the basic plane that the pattern cannot tell from it.
/// </remarks>
internal sealed class SplitPattern
{
    /// <summary>How long one match may take, in milliseconds: published patterns need a thousandth of one.</summary>
    public const int LongestMatch = 1000;

    /// <summary>How long all matches of one text may take: published patterns need a hundredth of it.</summary>
    public static long DeadlineFor(string text) => Environment.TickCount64 + 3000 + (text.Length / 100);

    private readonly string _source;
    private readonly Regex _regex;
    private readonly StandIns _standIns;

    /// <summary>Prepares an expression.</summary>
    /// <param name="pattern">The expression.</param>
    /// <param name="source">Its file and place, for messages.</param>
    /// <exception cref="NotSupportedException">The expression has a part that .NET would understand otherwise, or is built to exhaust a machine.</exception>
    public SplitPattern(string pattern, string? source = null)
    {
        _source = source is null ? string.Empty : $"{source}: ";
        if (KnownPatterns.Compiled(pattern) is { } compiled)
        {
            (_regex, _standIns) = (compiled, new());
            return;
        }

        try
        {
            (var translated, _standIns) = SplitPatternSyntax.Translate(pattern);
            _regex = new(translated, RegexOptions.CultureInvariant, TimeSpan.FromMilliseconds(LongestMatch));
        }
        catch (Exception error) when (error is NotSupportedException or ArgumentException)
        {
            throw new NotSupportedException(_source + error.Message, error);
        }
    }

    /// <summary>The expression that matches a literal text.</summary>
    public static SplitPattern Literal(string text) =>
        new(string.Concat(text.Select(unit => char.IsAscii(unit) && !char.IsAsciiLetterOrDigit(unit) ? $"\\{unit}" : $"{unit}")));

    /// <summary>The matches in a text, in order, as (start, end); none is empty.</summary>
    /// <param name="text">The text.</param>
    /// <param name="deadline">When to give up, by <see cref="Environment.TickCount64"/>.</param>
    /// <exception cref="InvalidDataException">The expression tries too many ways to match this text.</exception>
    public List<(int Start, int End)> Find(ReadOnlySpan<char> text, long deadline)
    {
        var matches = new List<(int Start, int End)>();
        var shadow = text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : Shadow(text);
        try
        {
            foreach (var match in _regex.EnumerateMatches(shadow))
            {
                matches.Add((match.Index, match.Index + match.Length));
                if (Environment.TickCount64 > deadline)
                {
                    throw new RegexMatchTimeoutException();
                }
            }
        }
        catch (RegexMatchTimeoutException error)
        {
            throw new InvalidDataException(
                $"{_source}the pattern {Shown} takes too long on this text: it can match it in too many ways. "
                + "No published tokenizer does; take the model's own file.",
                error);
        }

        if (shadow.Length < text.Length)
        {
            var (position, point) = (0, 0);
            foreach (ref var match in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(matches))
            {
                match = (PositionOf(match.Start, text, ref position, ref point), PositionOf(match.End, text, ref position, ref point));
            }
        }

        return matches;
    }

    private string Shown => JsonField.Excerpt(_regex.ToString(), 80);

    private ReadOnlySpan<char> Shadow(ReadOnlySpan<char> text)
    {
        var shadow = new char[text.Length];
        var count = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            shadow[count++] = rune.IsBmp ? (char)rune.Value : _standIns.For(rune.Value) is > '\0' and var standIn ? standIn
                : throw new InvalidDataException($"{_source}the pattern {Shown} names too many characters to match U+{rune.Value:X} beside them.");
        }

        return shadow.AsSpan(0, count);
    }

    private static int PositionOf(int target, ReadOnlySpan<char> text, ref int position, ref int point)
    {
        for (; point < target; point++)
        {
            Rune.DecodeFromUtf16(text[position..], out _, out var width);
            position += width;
        }

        return position;
    }
}
