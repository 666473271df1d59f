using System.Globalization;

namespace HeadScope;

/// <summary>
/// For each character beyond U+FFFF one of the basic plane of the same general category that a pattern does not name, or, for those in a
/// range that the pattern names, one that is named in its place.
/// </summary>
internal sealed class StandIns
{
    private readonly Dictionary<(int Range, UnicodeCategory Category), char> _chosen = [];
    private readonly List<(int First, int Last)> _ranges = [];
    private readonly bool[] _taken = new bool[0x10000];

    /// <summary>Keeps characters of the basic plane that the pattern names from being chosen.</summary>
    public void Name(int first, int last) => _taken.AsSpan(first..(last + 1)).Fill(true);

    /// <summary>The number of a range beyond U+FFFF that the pattern names; null when it cuts another one.</summary>
    public int? NameBeyond(int first, int last)
    {
        var index = _ranges.IndexOf((first, last));
        if (index < 0 && !_ranges.Exists(range => range.First <= last && first <= range.Last))
        {
            index = _ranges.Count;
            _ranges.Add((first, last));
        }

        return index < 0 ? null : index;
    }

    /// <summary>What to write for a named range: a stand-in for each category that it has.</summary>
    public string Of(int range)
    {
        var (first, last) = _ranges[range];
        return string.Concat(Enumerable.Range(first, last - first + 1)
            .Select(CharUnicodeInfo.GetUnicodeCategory).Distinct().Select(category => Choose(range, category)));
    }

    /// <summary>The stand-in of a character beyond U+FFFF.</summary>
    public char For(int character) => Choose(
        _ranges.FindIndex(range => range.First <= character && character <= range.Last), CharUnicodeInfo.GetUnicodeCategory(character));

    private char Choose(int range, UnicodeCategory category)
    {
        lock (_chosen)
        {
            if (!_chosen.TryGetValue((range, category), out var standIn))
            {
                standIn = (char)0xFFFF;
                while (_taken[standIn] || char.GetUnicodeCategory(standIn) != category)
                {
                    standIn--;
                }

                _taken[standIn] = true;
                _chosen.Add((range, category), standIn);
            }

            return standIn;
        }
    }
}
