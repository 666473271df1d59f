using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>
/// Reads the regular expressions that tokenizer files hold: literals, classes, groups, alternatives, quantifiers (greedy, lazy,
/// possessive), <c>(?i:…)</c>, atomic groups and look-ahead. Anything else is refused, because an expression that is
/// understood differently would cut the text differently without a word.
/// </summary>
internal sealed class SplitPatternParser
{
    private const int MostCopies = 1000;

    private readonly string _pattern;
    private int _position;

    private SplitPatternParser(string pattern) => _pattern = pattern;

    /// <summary>One part of an expression.</summary>
    internal abstract record Node
    {
        /// <summary>Members of a class in a row, as many as possible, with a way back to fewer.</summary>
        internal sealed record Run(CharacterClass Class, int Minimum, int Maximum) : Node;

        /// <summary>Parts one after the other.</summary>
        internal sealed record Sequence(IReadOnlyList<Node> Parts) : Node;

        /// <summary>The first alternative that lets the rest match.</summary>
        internal sealed record Choice(IReadOnlyList<Node> Alternatives) : Node;

        /// <summary>A part several times; <see cref="int.MaxValue"/> is no upper limit.</summary>
        internal sealed record Repeat(Node Body, int Minimum, int Maximum, bool Lazy) : Node;

        /// <summary>What must, or must not, follow.</summary>
        internal sealed record Look(Node Body, bool Negative) : Node;

        /// <summary>A part whose first match is final.</summary>
        internal sealed record Atomic(Node Body) : Node;

        /// <summary>Whether the part can match the empty text.</summary>
        public bool MayBeEmpty => this switch
        {
            Run run => run.Minimum == 0,
            Sequence sequence => sequence.Parts.All(part => part.MayBeEmpty),
            Choice choice => choice.Alternatives.Any(part => part.MayBeEmpty),
            Repeat repeat => repeat.Minimum == 0 || repeat.Body.MayBeEmpty,
            Atomic atomic => atomic.Body.MayBeEmpty,
            _ => true,
        };
    }

    /// <summary>Reads an expression.</summary>
    /// <exception cref="NotSupportedException">The expression uses what this engine does not have.</exception>
    public static Node Parse(string pattern)
    {
        var parser = new SplitPatternParser(pattern);
        var node = parser.Alternatives(ignoreCase: false);
        return parser._position == pattern.Length ? node : throw parser.Refuse("an unmatched ')'");
    }

    private bool AtEnd => _position == _pattern.Length;

    private Node Alternatives(bool ignoreCase)
    {
        var alternatives = new List<Node> { Sequence(ignoreCase) };
        while (Take("|"))
        {
            alternatives.Add(Sequence(ignoreCase));
        }

        return alternatives.Count == 1 ? alternatives[0] : new Node.Choice(alternatives);
    }

    private Node Sequence(bool ignoreCase)
    {
        var parts = new List<Node>();
        while (!AtEnd && _pattern[_position] is not ('|' or ')'))
        {
            parts.Add(Quantified(Atom(ignoreCase)));
        }

        return parts.Count == 1 ? parts[0] : new Node.Sequence(parts);
    }

    private Node Atom(bool ignoreCase)
    {
        if (Take("("))
        {
            return Group(ignoreCase);
        }

        if (Take("["))
        {
            return Single(Class(ignoreCase));
        }

        if (Take("\\"))
        {
            return Single(Escape() ?? Literal(EscapedCharacter(), ignoreCase));
        }

        if (Take("."))
        {
            return Single(CharacterClass.NotLineFeed);
        }

        return _pattern[_position] is '^' or '$' or '*' or '+' or '?' or '{'
            ? throw Refuse($"'{_pattern[_position]}' here")
            : Single(Literal(Foldable(NextCharacter(), ignoreCase), ignoreCase));
    }

    /// <summary>Refuses what folds case with more than one character, such as ß with "ss": classes match one at a time.</summary>
    private int Foldable(int character, bool ignoreCase)
    {
        ReadOnlySpan<string> pairs = ["ss", "st", "ff", "fi", "fl"];
        var pair = _position >= 2 ? _pattern[(_position - 2).._position].ToLowerInvariant() : string.Empty;
        return ignoreCase && (character >= 128 || pairs.Contains(pair))
            ? throw Refuse("letters in (?i:…) that fold with several others before")
            : character;
    }

    private Node Group(bool ignoreCase)
    {
        Func<Node, Node> wrap = node => node;
        if (Take("?"))
        {
            if (Take("="))
            {
                wrap = node => new Node.Look(node, Negative: false);
            }
            else if (Take("!"))
            {
                wrap = node => new Node.Look(node, Negative: true);
            }
            else if (Take(">"))
            {
                wrap = node => new Node.Atomic(node);
            }
            else if (Take("i:"))
            {
                ignoreCase = true;
            }
            else if (Take("-i:"))
            {
                ignoreCase = false;
            }
            else if (!Take(":"))
            {
                throw Refuse("this kind of group");
            }
        }

        var body = Alternatives(ignoreCase);
        return Take(")") ? wrap(body) : throw Refuse("a group without ')'");
    }

    private Node Quantified(Node atom)
    {
        int minimum;
        int maximum;
        var counted = false;
        if (Take("*"))
        {
            (minimum, maximum) = (0, int.MaxValue);
        }
        else if (Take("+"))
        {
            (minimum, maximum) = (1, int.MaxValue);
        }
        else if (Take("?"))
        {
            (minimum, maximum) = (0, 1);
        }
        else if (Take("{"))
        {
            (minimum, maximum) = Counts();
            counted = true;
        }
        else
        {
            return atom;
        }

        if (atom is Node.Look)
        {
            throw Refuse("a repeated look-ahead");
        }

        var lazy = Take("?");
        var possessive = !lazy && !counted && Take("+");
        if (!AtEnd && _pattern[_position] is '*' or '+' or '?' or '{')
        {
            throw Refuse("a quantifier after a quantifier");
        }

        if (maximum == int.MaxValue && atom.MayBeEmpty)
        {
            throw Refuse("an unlimited repetition of what can be empty");
        }

        Node repeated = atom is Node.Run { Minimum: 1, Maximum: 1 } single && !lazy
            ? new Node.Run(single.Class, minimum, maximum)
            : new Node.Repeat(atom, minimum, maximum, lazy);
        return possessive ? new Node.Atomic(repeated) : repeated;
    }

    private (int Minimum, int Maximum) Counts()
    {
        var close = _pattern.IndexOf('}', _position);
        var parts = (close < 0 ? string.Empty : _pattern[_position..close]).Split(',');
        var maximum = int.MaxValue;
        if (parts.Length > 2
            || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var minimum)
            || (parts[^1].Length > 0 && !int.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out maximum))
            || minimum > maximum
            || minimum > MostCopies
            || (maximum > MostCopies && maximum != int.MaxValue))
        {
            throw Refuse("these counts in braces");
        }

        _position = close + 1;
        return (minimum, maximum);
    }

    /// <summary>The class behind an opening bracket.</summary>
    private CharacterClass Class(bool ignoreCase)
    {
        var negated = Take("^");
        var ranges = new List<(int First, int Last)>();
        var parts = new List<CharacterClass>();
        var empty = true;
        while (!Take("]"))
        {
            if (AtEnd)
            {
                throw Refuse("a class without ']'");
            }

            if (Take("&&") || Peek("[:") || (empty && Peek("]")))
            {
                throw Refuse("this in a class");
            }

            empty = false;
            if (Take("["))
            {
                parts.Add(Class(ignoreCase));
            }
            else if (Take("\\") is var escaped && escaped && Escape() is { } named)
            {
                parts.Add(named);
            }
            else
            {
                var first = escaped ? EscapedCharacter() : NextCharacter();
                var last = first;
                if (Peek("-") && !Peek("-]"))
                {
                    _position++;
                    if (Peek("["))
                    {
                        throw Refuse("a range that ends with a class");
                    }

                    last = Take("\\") ? EscapedCharacter() : NextCharacter();
                }

                if (last < first)
                {
                    throw Refuse("a range whose end is before its start");
                }

                ranges.Add((first, last));
            }
        }

        return empty ? throw Refuse("an empty class") : new CharacterClass(0, ranges, parts, negated, ignoreCase);
    }

    /// <summary>The class that the letter after a backslash stands for; null (and nothing read) when it stands for none.</summary>
    private CharacterClass? Escape()
    {
        if (AtEnd)
        {
            throw Refuse("a backslash at the end");
        }

        switch (_pattern[_position])
        {
            case 's':
                _position++;
                return CharacterClass.WhiteSpace;
            case 'S':
                _position++;
                return Not(CharacterClass.WhiteSpace);
            case 'w':
                _position++;
                return CharacterClass.Word;
            case 'W':
                _position++;
                return Not(CharacterClass.Word);
            case 'd':
                _position++;
                return new CharacterClass(CharacterClass.Categories("Nd"));
            case 'D':
                _position++;
                return new CharacterClass(CharacterClass.Categories("Nd"), negated: true);
            case 'p' or 'P':
                return Property();
            default:
                return null;
        }
    }

    private CharacterClass Property()
    {
        var negated = _pattern[_position++] == 'P';
        var close = _pattern.IndexOf('}', _position);
        if (!Take("{") || close < 0)
        {
            throw Refuse("a property without braces");
        }

        if (Take("^"))
        {
            negated = !negated;
        }

        var name = _pattern[_position..close];
        var categories = CharacterClass.Categories(name);
        if (categories == 0)
        {
            throw Refuse($"the property '{name}' (general categories such as L, Lu or N are known)");
        }

        _position = close + 1;
        return new CharacterClass(categories, negated: negated);
    }

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
                return letter < 128 && char.IsAsciiLetterOrDigit((char)letter)
                    ? throw Refuse($"the escape '\\{(char)letter}'")
                    : letter;
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

    private static Node.Run Single(CharacterClass members) => new(members, 1, 1);

    private static CharacterClass Not(CharacterClass members) => new(parts: [members], negated: true);

    private static CharacterClass Literal(int character, bool ignoreCase) =>
        new(ranges: [(character, character)], ignoreCase: ignoreCase);

    private bool Peek(string text) => string.CompareOrdinal(_pattern, _position, text, 0, text.Length) == 0;

    private bool Take(string text)
    {
        var found = Peek(text);
        _position += found ? text.Length : 0;
        return found;
    }

    private NotSupportedException Refuse(string what) =>
        new($"The pattern {_pattern} has {what} at position {_position.ToString(CultureInfo.InvariantCulture)}, which is not supported.");
}
