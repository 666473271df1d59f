namespace HeadScope;

/// <summary>What becomes of the matches of a pattern when text is cut at them.</summary>
internal enum SplitBehavior
{
    /// <summary>Each match is a piece of its own.</summary>
    Isolated,

    /// <summary>Matches are dropped.</summary>
    Removed,

    /// <summary>A match belongs to the piece before it.</summary>
    MergedWithPrevious,

    /// <summary>A match belongs to the piece after it.</summary>
    MergedWithNext,

    /// <summary>Neighbouring matches are one piece.</summary>
    Contiguous,
}

/// <summary>One step of cutting text into words: a pattern, and what to do with its matches.</summary>
/// <param name="Pattern">What to look for.</param>
/// <param name="Behavior">What becomes of the matches.</param>
/// <param name="Invert">Whether what lies between the matches is treated as the matches, and the other way round.</param>
internal sealed record SplitStep(SplitPattern Pattern, SplitBehavior Behavior = SplitBehavior.Isolated, bool Invert = false)
{
    /// <summary>Replaces the list by the pieces of a text, in order, as (start, end); none is empty.</summary>
    public void Split(ReadOnlySpan<char> text, SplitPattern.Scratch scratch, List<(int Start, int End)> pieces)
    {
        pieces.Clear();
        var lastMatched = false;
        for (var position = 0; position < text.Length;)
        {
            var found = Pattern.Find(text, position, scratch, out var start, out var end);
            if (start > position)
            {
                Add(pieces, (position, start), matched: Invert, ref lastMatched);
            }

            if (found)
            {
                Add(pieces, (start, end), matched: !Invert, ref lastMatched);
            }

            position = end;
        }
    }

    private void Add(List<(int Start, int End)> pieces, (int Start, int End) piece, bool matched, ref bool lastMatched)
    {
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
