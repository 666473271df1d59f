namespace HeadScope;

/// <summary>Characters of the basic plane that stand for those beyond it in a pattern and its text. One stand-in serves all characters that the
/// pattern cannot tell apart: of one general category, in the same of the ranges that the pattern names.</summary>
internal sealed class StandIns
{
    private readonly Dictionary<(int Ranges, UnicodeCategory Category), char> _chosen = [];
    private readonly List<(int First, int Last)> _ranges = [];
    private readonly List<(int First, int Last)> _taken = [];

    /// <summary>Keeps characters of the basic plane that the pattern names from being chosen.</summary>
    public void Take(int first, int last) => _taken.Add((first, last));

    /// <summary>Adds a range beyond the basic plane that the pattern names, at most 31 in all, and gives its number.</summary>
    public int Name(int first, int last)
    {
        _ranges.Add((first, last));
        return _ranges.Count - 1;
    }

    /// <summary>The stand-ins of all characters in a named range, once all names are known.</summary>
    public string Of(int range)
    {
        var (first, last) = _ranges[range];
        return string.Concat(Enumerable.Range(first, last - first + 1).Select(For).Distinct());
    }

    /// <summary>The stand-in of a character; U+0000 where the pattern leaves none.</summary>
    public char For(int character)
    {
        var ranges = 0;
        for (var i = 0; i < _ranges.Count; i++)
        {
            ranges |= character >= _ranges[i].First && character <= _ranges[i].Last ? 1 << i : 0;
        }

        var category = CharUnicodeInfo.GetUnicodeCategory(character);
        lock (_chosen)
        {
            if (!_chosen.TryGetValue((ranges, category), out var standIn))
            {
                standIn = (char)0xFFFF;
                while (standIn > 0
                    && (char.GetUnicodeCategory(standIn) != category
                        || char.ToLowerInvariant(standIn) != char.ToUpperInvariant(standIn)
                        || _taken.Exists(taken => taken.First <= standIn && standIn <= taken.Last)))
                {
                    standIn--;
                }

                _taken.Add((standIn, standIn));
                _chosen.Add((ranges, category), standIn);
            }

            return standIn;
        }
    }
}
