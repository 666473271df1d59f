using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>
/// A set of Unicode code points, given by general categories, ranges and other sets. Code points, not UTF-16 units: a letter
/// beyond the basic plane is one member of <c>\p{L}</c>, as it is for the engines the published patterns were written for.
/// </summary>
internal sealed class CharacterClass
{
    private readonly uint _categories;
    private readonly (int First, int Last)[] _ranges;
    private readonly CharacterClass[] _parts;
    private readonly bool _negated;
    private readonly bool _ignoreCase;
    private readonly ulong _asciiLow;
    private readonly ulong _asciiHigh;

    /// <summary>The union of its arguments, or what lies outside of it when <paramref name="negated"/>.</summary>
    /// <param name="categories">One bit for each <see cref="UnicodeCategory"/>.</param>
    /// <param name="ranges">Inclusive ranges of code points.</param>
    /// <param name="parts">Further sets.</param>
    /// <param name="negated">Whether to take the complement.</param>
    /// <param name="ignoreCase">Whether a code point also belongs when a case variant of it does.</param>
    public CharacterClass(
        uint categories = 0,
        IEnumerable<(int First, int Last)>? ranges = null,
        IEnumerable<CharacterClass>? parts = null,
        bool negated = false,
        bool ignoreCase = false)
    {
        _categories = categories;
        _ranges = ranges?.ToArray() ?? [];
        _parts = parts?.ToArray() ?? [];
        _negated = negated;
        _ignoreCase = ignoreCase;
        for (var i = 0; i < 64; i++)
        {
            _asciiLow |= Decide(i) ? 1UL << i : 0;
            _asciiHigh |= Decide(i + 64) ? 1UL << i : 0;
        }
    }

    /// <summary><c>\s</c>: the Unicode property White_Space.</summary>
    public static CharacterClass WhiteSpace { get; } = new(Categories("Z"), [(0x09, 0x0D), (0x85, 0x85)]);

    /// <summary><c>\w</c>: alphabetic characters, marks, decimal digits and connectors.</summary>
    public static CharacterClass Word { get; } = new(
        Categories("L") | Categories("M") | Categories("Nd") | Categories("Nl") | Categories("Pc"),
        // The alphabetic symbols (Other_Alphabetic outside of the marks): circled and squared Latin letters.
        [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]);

    /// <summary>Any code point but the line feed, as <c>.</c> means it.</summary>
    public static CharacterClass NotLineFeed { get; } = new(ranges: [('\n', '\n')], negated: true);

    /// <summary>The mask of a general category by its one- or two-letter name; 0 when there is none of this name.</summary>
    public static uint Categories(string name)
    {
        ReadOnlySpan<string> names =
        [
            "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc",
            "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
        ];
        var mask = 0u;
        for (var i = 0; i < names.Length; i++)
        {
            if (name == names[i] || (name.Length == 1 && name[0] == names[i][0]))
            {
                mask |= 1u << i;
            }
        }

        return mask;
    }

    /// <summary>Whether the code point belongs to the set.</summary>
    public bool Contains(int codePoint) => codePoint < 128
        ? (((codePoint < 64 ? _asciiLow : _asciiHigh) >> (codePoint & 63)) & 1) != 0
        : Decide(codePoint);

    /// <summary>How many UTF-16 units the member of this set takes that stands at a position of the text; 0 when none does.</summary>
    public int WidthAt(ReadOnlySpan<char> text, int position)
    {
        int unit = text[position];
        if (unit < 128)
        {
            return (int)(((unit < 64 ? _asciiLow : _asciiHigh) >> (unit & 63)) & 1);
        }

        if (char.IsHighSurrogate((char)unit) && position + 1 < text.Length && char.IsLowSurrogate(text[position + 1]))
        {
            return Decide(char.ConvertToUtf32((char)unit, text[position + 1])) ? 2 : 0;
        }

        return Decide(unit) ? 1 : 0;
    }

    private bool Decide(int codePoint)
    {
        var member = Holds(codePoint);
        if (!member && _ignoreCase && Rune.TryCreate(codePoint, out var rune))
        {
            var lower = Rune.ToLowerInvariant(rune);
            var upper = Rune.ToUpperInvariant(rune);
            member = Holds(lower.Value) || Holds(upper.Value)
                || Holds(Rune.ToLowerInvariant(upper).Value) || Holds(Rune.ToUpperInvariant(lower).Value)
                // Unicode folds the long s to s; the invariant culture leaves it alone.
                || (codePoint == 0x17F && (Holds('s') || Holds('S')));
        }

        return member != _negated;
    }

    private bool Holds(int codePoint)
    {
        if (((_categories >> (int)CharUnicodeInfo.GetUnicodeCategory(codePoint)) & 1) != 0)
        {
            return true;
        }

        foreach (var (first, last) in _ranges)
        {
            if (codePoint >= first && codePoint <= last)
            {
                return true;
            }
        }

        foreach (var part in _parts)
        {
            if (part.Contains(codePoint))
            {
                return true;
            }
        }

        return false;
    }
}
