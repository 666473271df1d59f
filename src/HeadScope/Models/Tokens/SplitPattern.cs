using System.Text.RegularExpressions;

namespace HeadScope;

/// <summary>A pattern that cuts text into pieces, written in Oniguruma's syntax as tokenizer files have it and run by .NET's <see cref="Regex"/>.</summary>
/// <remarks>Oniguruma sees code points, .NET UTF-16 units, to which a letter beyond U+FFFF is two surrogates and no letter. So such characters
/// are matched through a shadow of the text, in which each is one stand-in from the basic plane that the pattern cannot tell from it.</remarks>
internal sealed class SplitPattern
{
    /// <summary>How long one match may take, in milliseconds: published patterns need a thousandth of one.</summary>
    public const int LongestMatch = 1000;

    private readonly string _source;
    private readonly Regex _regex;
    private readonly StandIns _standIns;

    /// <summary>Prepares an expression; messages name its file and place.</summary>
    /// <exception cref="NotSupportedException">The expression has a part that .NET would understand otherwise, or is built to exhaust a machine.</exception>
    public SplitPattern(string pattern, string? source = null)
    {
        _source = source is null ? "" : $"{source}: ";
        try
        {
            (var translated, _standIns) = SplitPatternSyntax.Translate(pattern);
            _regex = KnownPatterns.Compiled(translated) ?? new(translated, RegexOptions.CultureInvariant, TimeSpan.FromMilliseconds(LongestMatch));
        }
        catch (Exception error) when (error is NotSupportedException or ArgumentException)
        {
            throw new NotSupportedException(_source + error.Message, error);
        }
    }

    private string Shown => JsonField.Excerpt(_regex.ToString(), 80);

    /// <summary>When to give up on a text, by <see cref="Environment.TickCount64"/>: published patterns need a hundredth of that time.</summary>
    public static long DeadlineFor(string text) => Environment.TickCount64 + 3000 + (text.Length / 100);

    /// <summary>The expression that matches a literal text.</summary>
    public static SplitPattern Literal(string text) =>
        new(string.Concat(text.Select(unit => char.IsAscii(unit) && !char.IsAsciiLetterOrDigit(unit) ? $"\\{unit}" : $"{unit}")));

    /// <summary>The matches in a text, in order, as (start, end); none is empty.</summary>
    /// <exception cref="InvalidDataException">The expression tries too many ways to match this text.</exception>
    public List<(int Start, int End)> Find(ReadOnlySpan<char> text, long deadline)
    {
        var matches = new List<(int Start, int End)>();
        int[]? places = null;
        var shadow = text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : Shadow(text, out places);
        try
        {
            foreach (var match in _regex.EnumerateMatches(shadow))
            {
                var (start, end) = (match.Index, match.Index + match.Length);
                matches.Add(places is null ? (start, end) : (places[start], places[end]));
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

        return matches;
    }

    // Each character of a text as one from the basic plane, and where it and the end of the text are in the text.
    private ReadOnlySpan<char> Shadow(ReadOnlySpan<char> text, out int[] places)
    {
        var shadow = new char[text.Length];
        places = new int[text.Length + 1];
        var count = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            places[count + 1] = places[count] + rune.Utf16SequenceLength;
            shadow[count++] = rune.IsBmp ? (char)rune.Value : _standIns.For(rune.Value) is > '\0' and var standIn ? standIn
                : throw new InvalidDataException($"{_source}the pattern {Shown} names too many characters to match U+{rune.Value:X} beside them.");
        }

        return shadow.AsSpan(0, count);
    }
}

/// <summary>What becomes of the matches of a pattern when text is cut at them; in Contiguous, neighbouring matches are one piece.</summary>
internal enum SplitBehavior
{
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>One step of cutting text into words: a pattern, and what becomes of its matches, or, inverted, of what lies between them.</summary>
internal sealed record SplitStep(SplitPattern Pattern, SplitBehavior Behavior = SplitBehavior.Isolated, bool Invert = false)
{
    /// <summary>The pieces of a text, in order, as (start, end); none is empty.</summary>
    public List<(int Start, int End)> Split(ReadOnlySpan<char> text, long deadline)
    {
        var matches = Pattern.Find(text, deadline);
        var pieces = new List<(int Start, int End)>(matches.Count + 1);
        var (done, lastMatched) = (0, false);
        foreach (var (start, end) in matches)
        {
            Add((done, start), matched: Invert);
            Add((start, end), matched: !Invert);
            done = end;
        }

        Add((done, text.Length), matched: Invert);
        return pieces;

        void Add((int Start, int End) piece, bool matched)
        {
            if (piece.Start == piece.End)
            {
                return;
            }

            var joins = pieces.Count > 0 && Behavior switch
            {
                SplitBehavior.MergedWithPrevious => matched && !lastMatched,
                SplitBehavior.MergedWithNext => !matched && lastMatched,
                SplitBehavior.Contiguous => matched == lastMatched,
                _ => false,
            };
            lastMatched = matched;
            if (joins)
            {
                pieces[^1] = (pieces[^1].Start, piece.End);
            }
            else if (!(matched && Behavior == SplitBehavior.Removed))
            {
                pieces.Add(piece);
            }
        }
    }
}
