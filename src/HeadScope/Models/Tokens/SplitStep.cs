namespace HeadScope;

/// <summary>What becomes of the matches of a pattern when text is cut at them; in Contiguous, neighbouring matches are one piece.</summary>
internal enum SplitBehavior
{
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>One step of cutting text into words: a pattern, and what to do with its matches.</summary>
/// <param name="Pattern">What to look for.</param>
/// <param name="Behavior">What becomes of the matches.</param>
/// <param name="Invert">Whether what lies between the matches is treated as the matches, and the other way round.</param>
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
