using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>
/// Writes the expressions that tokenizer files hold (Oniguruma's) in .NET's syntax: literals, classes, groups, alternatives, quantifiers
/// (greedy, lazy, possessive), <c>(?i:…)</c>, atomic groups and look-ahead. Anything else is refused, because an expression that is
/// understood differently would cut the text differently without a word.
/// </summary>
internal sealed class SplitPatternSyntax
{
    private const int LongestPattern = 20_000;
    private const int DeepestGroup = 32;
    private const int MostCopies = 1000;
    private const int MostRangesBeyond = 64;

    // Stands for the first named range beyond U+FFFF until all names are known.
    private const char Placeholder = '\uE000';

    private readonly string _pattern;
    private readonly StringBuilder _written = new();
    private readonly StandIns _standIns = new();
    private int _ranges;
    private int _position;
    private int _depth;

    private SplitPatternSyntax(string pattern) => _pattern = pattern;

    private bool AtEnd => _position == _pattern.Length;

    /// <summary>Translates an expression.</summary>
    /// <exception cref="NotSupportedException">The expression has a part that is not supported.</exception>
    public static (string Pattern, StandIns StandIns) Translate(string pattern)
    {
        var syntax = new SplitPatternSyntax(pattern);
        if (pattern.Length > LongestPattern)
        {
            throw syntax.Refuse($"{pattern.Length} characters (at most {LongestPattern} are read)");
        }

        if (syntax.Alternatives(ignoreCase: false))
        {
            throw syntax.Refuse("a way to match the empty text");
        }

        if (!syntax.AtEnd)
        {
            throw syntax.Refuse("an unmatched ')'");
        }

        for (var range = 0; range < syntax._ranges; range++)
        {
            syntax._written.Replace(((char)(Placeholder + range)).ToString(), syntax._standIns.Of(range));
        }

        return (syntax._written.ToString(), syntax._standIns);
    }

    /// <summary>The beginning of a pattern, for messages.</summary>
    public static string Shown(string pattern) => pattern.Length <= 80 ? pattern : pattern[..80] + "…";

    // Each of these writes what it reads, and says whether that can match the empty text.
    private bool Alternatives(bool ignoreCase)
    {
        if (++_depth > DeepestGroup)
        {
            throw Refuse($"more than {DeepestGroup} groups in each other");
        }

        var mayBeEmpty = Sequence(ignoreCase);
        while (Take("|"))
        {
            _written.Append('|');
            mayBeEmpty |= Sequence(ignoreCase);
        }

        _depth--;
        return mayBeEmpty;
    }

    private bool Sequence(bool ignoreCase)
    {
        var mayBeEmpty = true;
        while (!AtEnd && _pattern[_position] is not ('|' or ')'))
        {
            var start = _written.Length;
            mayBeEmpty &= Quantified(start, Atom(ignoreCase));
        }

        return mayBeEmpty;
    }

    private bool Atom(bool ignoreCase)
    {
        if (Take("("))
        {
            return Group(ignoreCase);
        }

        if (Take("["))
        {
            _written.Append(Take("^") ? "[^" : "[");
            Class(ignoreCase);
            _written.Append(']');
        }
        else if (Take("."))
        {
            _written.Append('.');
        }
        else if (Take("\\"))
        {
            if (!Named(inClass: false, ignoreCase))
            {
                Literal(EscapedCharacter(), ignoreCase);
            }
        }
        else if (_pattern[_position] is '^' or '$' or '*' or '+' or '?' or '{')
        {
            throw Refuse($"'{_pattern[_position]}' here");
        }
        else
        {
            Literal(NextCharacter(), ignoreCase);
        }

        return false;
    }

    private bool Group(bool ignoreCase)
    {
        var kind = Array.Find(["?:", "?=", "?!", "?>", "?i:", "?-i:"], Take) ?? (Peek("?") ? throw Refuse("this kind of group") : "?:");
        _written.Append('(').Append(kind);
        var mayBeEmpty = Alternatives(kind == "?i:" || (ignoreCase && kind != "?-i:"));
        _written.Append(')');
        return Take(")") ? mayBeEmpty || kind is "?=" or "?!" : throw Refuse("a group without ')'");
    }

    private bool Quantified(int start, bool mayBeEmpty)
    {
        var begin = _position;
        var (minimum, maximum) = Take("*") ? (0, int.MaxValue) : Take("+") ? (1, int.MaxValue) : Take("?") ? (0, 1) : Take("{") ? Counts() : (1, 1);
        if (_position == begin)
        {
            return mayBeEmpty;
        }

        // Repeating what can be empty costs time and memory without getting on in the text.
        if (mayBeEmpty && maximum > 1)
        {
            throw Refuse("a repetition of what can be empty");
        }

        var counted = _pattern[begin] == '{';
        _written.Append(_pattern, begin, _position - begin);
        if (!(counted && minimum == maximum) && Take("?"))
        {
            _written.Append('?');
        }
        else if (!counted && Take("+"))
        {
            _written.Insert(start, "(?>").Append(')');
        }

        return !AtEnd && _pattern[_position] is '*' or '+' or '?' or '{'
            ? throw Refuse("a quantifier after a quantifier")
            : mayBeEmpty || minimum == 0;
    }

    private (int Minimum, int Maximum) Counts()
    {
        var close = _pattern.IndexOf('}', _position);
        var parts = (close < 0 ? string.Empty : _pattern[_position..close]).Split(',');
        var maximum = int.MaxValue;
        if (parts.Length > 2
            || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var minimum)
            || (parts[^1].Length > 0 && !int.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out maximum))
            || minimum > Math.Min(maximum, MostCopies)
            || (maximum > MostCopies && maximum != int.MaxValue))
        {
            throw Refuse("these counts in braces");
        }

        _position = close + 1;
        return (minimum, maximum);
    }

    /// <summary>The items of a class; those of a class inside it join them.</summary>
    private void Class(bool ignoreCase)
    {
        if (++_depth > DeepestGroup || Peek("]"))
        {
            throw Refuse("an empty class, or one too deep");
        }

        while (!Take("]"))
        {
            if (AtEnd)
            {
                throw Refuse("a class without ']'");
            }

            if (Peek("&&") || Peek("[:") || Peek("[^"))
            {
                throw Refuse("this in a class");
            }

            if (Take("["))
            {
                Class(ignoreCase);
                continue;
            }

            var escaped = Take("\\");
            if (escaped && Named(inClass: true, ignoreCase))
            {
                continue;
            }

            var first = escaped ? EscapedCharacter() : NextCharacter();
            var last = first;
            if (Peek("-") && !Peek("-]"))
            {
                _position++;
                last = Peek("[") ? throw Refuse("a range that ends with a class") : Take("\\") ? EscapedCharacter() : NextCharacter();
            }

            Range(first, last >= first ? last : throw Refuse("a range whose end is before its start"), ignoreCase);
        }

        _depth--;
    }

    /// <summary>The class that the letter after a backslash stands for; false (and nothing read) when it stands for none.</summary>
    private bool Named(bool inClass, bool ignoreCase)
    {
        var letter = AtEnd ? throw Refuse("a backslash at the end") : _pattern[_position];
        if (letter is 's' or 'S' or 'd' or 'D')
        {
            _written.Append('\\').Append(letter);
        }
        else if (letter is 'p' or 'P')
        {
            Property(ignoreCase);
        }
        else if (letter == 'w' || (letter == 'W' && !inClass))
        {
            _written.Append(inClass ? string.Empty : letter == 'w' ? "[" : "[^").Append(@"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}");
            foreach (var (first, last) in WordCharacters.Symbols)
            {
                Range(first, last, ignoreCase: false);
            }

            _written.Append(inClass ? string.Empty : "]");
        }
        else
        {
            return false;
        }

        _position++;
        return true;
    }

    private void Property(bool ignoreCase)
    {
        const string Categories = " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No Z Zs Zl Zp C Cc Cf Cs Co Cn P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So ";
        var negated = _pattern[_position] == 'P';
        var close = _pattern.IndexOf('}', _position);
        if (close < 0 || _pattern[_position + 1] != '{')
        {
            throw Refuse("a property without braces");
        }

        var name = _pattern[(_position + 2)..close];
        if (name.StartsWith('^'))
        {
            (name, negated) = (name[1..], !negated);
        }

        if (name.Contains(' ') || !Categories.Contains($" {name} ", StringComparison.Ordinal) || (ignoreCase && name is "Lu" or "Ll" or "Lt"))
        {
            throw Refuse($"the property '{name}' (general categories such as L, Lu or N are known; those of case not in (?i:…))");
        }

        _written.Append(negated ? "\\P{" : "\\p{").Append(name).Append('}');
        _position = close;
    }

    private void Literal(int character, bool ignoreCase)
    {
        // ß is "ss" to (?i:…), but one character here.
        var pair = _position >= 2 ? _pattern[(_position - 2).._position].ToLowerInvariant() : string.Empty;
        if (ignoreCase && (character >= 128 || pair is "ss" or "st" or "ff" or "fi" or "fl"))
        {
            throw Refuse("letters in (?i:…) that fold with several others before");
        }

        var asClass = character > char.MaxValue || (ignoreCase && character is 's' or 'S');
        _written.Append(asClass ? "[" : string.Empty);
        Range(character, character, ignoreCase);
        _written.Append(asClass ? "]" : string.Empty);
    }

    private void Range(int first, int last, bool ignoreCase)
    {
        if (first <= char.MaxValue)
        {
            var end = Math.Min(last, char.MaxValue);
            _standIns.Name(first, end);
            Write((char)first);
            if (end > first)
            {
                _written.Append('-');
                Write((char)end);
            }
        }

        if (last > char.MaxValue)
        {
            var range = _standIns.NameBeyond(Math.Max(first, char.MaxValue + 1), last);
            _written.Append((char)(Placeholder + (range is < MostRangesBeyond and { } known ? known
                : throw Refuse("too many ranges beyond U+FFFF, or some that overlap"))));
            _ranges = Math.Max(_ranges, range.Value + 1);
        }

        // Unicode folds the long s to s; .NET leaves it alone.
        if (ignoreCase && ((first <= 's' && last >= 's') || (first <= 'S' && last >= 'S')))
        {
            _written.Append(@"\u017F");
        }
    }

    private void Write(char character) => _ = character switch
    {
        '\r' => _written.Append("\\r"),
        '\n' => _written.Append("\\n"),
        _ when char.IsControl(character) || char.GetUnicodeCategory(character) is UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate =>
            _written.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}"),
        _ when @"\*+?|{[()^$.#]-".Contains(character) => _written.Append('\\').Append(character),
        _ => _written.Append(character),
    };

    private int EscapedCharacter()
    {
        var letter = NextCharacter();
        switch (letter)
        {
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'f':
                return '\f';
            case 'v':
                return '\v';
            case 'x' when Take("{"):
                var close = _pattern.IndexOf('}', _position);
                var value = Hexadecimal(close < 0 ? 0 : close - _position);
                _position++;
                return value;
            case 'x':
                return Hexadecimal(2);
            case 'u':
                return Hexadecimal(4);
            default:
                return letter < 128 && char.IsAsciiLetterOrDigit((char)letter) ? throw Refuse($"the escape '\\{(char)letter}'") : letter;
        }
    }

    private int Hexadecimal(int digits)
    {
        if (digits is < 1 or > 6
            || _position + digits > _pattern.Length
            || !int.TryParse(_pattern.AsSpan(_position, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            || !Rune.IsValid(value))
        {
            throw Refuse("this character number");
        }

        _position += digits;
        return value;
    }

    private int NextCharacter()
    {
        if (AtEnd || !Rune.TryGetRuneAt(_pattern, _position, out var rune))
        {
            throw Refuse("an incomplete character");
        }

        _position += rune.Utf16SequenceLength;
        return rune.Value;
    }

    private bool Peek(string text) => string.CompareOrdinal(_pattern, _position, text, 0, text.Length) == 0;

    private bool Take(string text)
    {
        var found = Peek(text);
        _position += found ? text.Length : 0;
        return found;
    }

    private NotSupportedException Refuse(string what) => new(string.Create(
        CultureInfo.InvariantCulture, $"The pattern {Shown(_pattern)} has {what} at position {_position}, which is not supported."));
}
