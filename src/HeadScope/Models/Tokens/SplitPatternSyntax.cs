using System.Text.RegularExpressions;

namespace HeadScope;

/// <summary>Writes the expressions that tokenizer files hold (Oniguruma's) in .NET's syntax: literals, classes, groups, alternatives, quantifiers
/// (greedy, lazy, possessive), <c>(?i:…)</c>, atomic groups and look-ahead. Anything else is refused, because an expression that is understood
/// differently would cut the text differently without a word.</summary>
internal sealed partial class SplitPatternSyntax
{
    private const int LongestPattern = 20_000;
    private const int DeepestGroup = 32;
    private const int MostRangesBeyond = 20;

    // Stands for the first named range beyond U+FFFF until all names are known.
    private const char Placeholder = '\uE000';

    private const string Named = @"\\[sSdDwW]|\\[pP]\{\^?(?:L[ultmo]?|M[nce]?|N[dlo]?|Z[slp]?|C[cfson]?|P[cdseifo]?|S[mcko]?)\}";
    private const string Special =
        @"\\(?:[rntfv]|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|[^A-Za-z0-9\uD800-\uDFFF])|[\uD800-\uDBFF][\uDC00-\uDFFF]";

    private readonly string _pattern;
    private readonly StringBuilder _written = new();
    private readonly StandIns _standIns = new();
    private int _ranges;
    private int _position;

    private SplitPatternSyntax(string pattern) => _pattern = pattern;

    [GeneratedRegex(
        @"\G(?:\(\?(?:[:=!>]|-?i:)|\((?!\?)|\[(?!\^?\])\^?|" + Named + "|" + Special + @"|[^\\()\[^$*+?{\uD800-\uDFFF])",
        RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex Atoms { get; }

    [GeneratedRegex(@"\G(?:[*+?][?+]?|\{\d{1,4}(?:\}|,\d{0,4}\}\??))", RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex Quantifiers { get; }

    [GeneratedRegex(
        @"\G(?:\[(?![:^\]])|\]|" + Named + @"|(?!-\[|&&)(?<first>" + Special + @"|[^\\\[\]\uD800-\uDFFF])"
        + @"(?:-(?<last>" + Special + @"|[^\\\[\]\uD800-\uDFFF])|(?!-\\)))",
        RegexOptions.CultureInvariant, SplitPattern.LongestMatch)]
    private static partial Regex ClassItems { get; }

    /// <summary>Translates an expression.</summary>
    /// <exception cref="NotSupportedException">The expression has a part that is not supported.</exception>
    public static (string Pattern, StandIns StandIns) Translate(string pattern)
    {
        var syntax = new SplitPatternSyntax(pattern);
        syntax.RefuseIf(pattern.Length > LongestPattern, $"more than {LongestPattern} characters");
        syntax.RefuseIf(syntax.Alternatives(depth: 1, ignoreCase: false), "a way to match the empty text");
        syntax.RefuseIf(syntax._position < pattern.Length, "an unmatched ')'");
        for (var range = 0; range < syntax._ranges; range++)
        {
            var named = syntax._standIns.Of(range);
            syntax._written.Replace(
                ((char)(Placeholder + range)).ToString(), named.Contains('\0') ? throw syntax.Refuse("too many different characters") : named);
        }

        return (syntax._written.ToString(), syntax._standIns);
    }

    // Writes what it reads, up to the end of a group, and says whether that can match the empty text.
    private bool Alternatives(int depth, bool ignoreCase)
    {
        RefuseIf(depth > DeepestGroup, $"more than {DeepestGroup} groups in each other");
        var (anyEmpty, empty) = (false, true);
        while (_position < _pattern.Length && _pattern[_position] != ')')
        {
            var (start, atom, atomEmpty) = (_written.Length, Next(Atoms).Value, false);
            switch (atom[0])
            {
                case '|':
                    _written.Append('|');
                    (anyEmpty, empty) = (anyEmpty || empty, true);
                    continue;
                case '(':
                    var kind = atom == "(" ? "(?:" : atom;
                    _written.Append(kind);
                    atomEmpty = Alternatives(depth + 1, kind == "(?i:" || (ignoreCase && kind != "(?-i:")) || kind is "(?=" or "(?!";
                    _position += _position < _pattern.Length ? 1 : throw Refuse("a group without ')'");
                    _written.Append(')');
                    break;
                case '[':
                    _written.Append(atom);
                    Class(ignoreCase);
                    _written.Append(']');
                    break;
                case '.':
                case '\\' when "sSdDwWpP".Contains(atom[1]):
                    NamedClass(atom, inClass: false, ignoreCase);
                    break;
                default:
                    Literal(CodePoint(atom), ignoreCase);
                    break;
            }

            empty &= Quantified(start, atomEmpty);
        }

        return anyEmpty || empty;
    }

    private bool Quantified(int start, bool empty)
    {
        var quantifier = Quantifiers.Match(_pattern, _position).Value;
        if (quantifier.Length == 0)
        {
            return empty;
        }

        // The former costs time and memory without getting on in the text; of the latter .NET makes a plain repetition.
        RefuseIf(empty || _written.ToString(start, _written.Length - start).Contains("(?>", StringComparison.Ordinal), "a repetition of what can be empty, or of an atomic group,");
        _position += quantifier.Length;
        var possessive = quantifier is "*+" or "++" or "?+";
        _written.Insert(start, possessive ? "(?>" : "").Append(possessive ? quantifier[..1] + ")" : quantifier);
        return quantifier[0] is '*' or '?' || quantifier.StartsWith("{0", StringComparison.Ordinal);
    }

    /// <summary>The items of a class; those of a class inside it join them.</summary>
    private void Class(bool ignoreCase)
    {
        for (var depth = 1; depth > 0;)
        {
            var item = Next(ClassItems);
            if (item.Value is "[" or "]")
            {
                depth += item.Value == "[" ? 1 : -1;
            }
            else if (item.Groups["first"] is { Success: true, Value: var from })
            {
                Range(CodePoint(from), CodePoint(item.Groups["last"] is { Success: true, Value: var to } ? to : from), ignoreCase);
            }
            else
            {
                NamedClass(item.Value, inClass: true, ignoreCase);
            }
        }
    }

    private void NamedClass(string text, bool inClass, bool ignoreCase)
    {
        RefuseIf((text == @"\W" && inClass) || (ignoreCase && text.TrimEnd('}') is [.., 'L', 'u' or 'l' or 't']), $"{text} in a class, or in (?i:…)");
        if (text is not (@"\w" or @"\W"))
        {
            _written.Append(text.Contains('^') ? $"\\{(text[1] == 'p' ? 'P' : 'p')}{{{text[4..]}" : text);
            return;
        }

        _written.Append(inClass ? "" : text == @"\w" ? "[" : "[^").Append(@"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}");
        foreach (var (first, last) in WordCharacters.Symbols)
        {
            Range(first, last, ignoreCase: false);
        }

        _written.Append(inClass ? "" : "]");
    }

    private void Literal(int character, bool ignoreCase)
    {
        // ß is "ss" to (?i:…), but one character here.
        var pair = _position >= 2 ? _pattern[(_position - 2).._position].ToLowerInvariant() : "";
        RefuseIf(ignoreCase && (character >= 128 || pair is "ss" or "st" or "ff" or "fi" or "fl"), "letters in (?i:…) that fold with several others");
        var asClass = character > char.MaxValue || (ignoreCase && character is 's' or 'S');
        _written.Append(asClass ? "[" : "");
        Range(character, character, ignoreCase);
        _written.Append(asClass ? "]" : "");
    }

    private void Range(int first, int last, bool ignoreCase)
    {
        RefuseIf(last < first, "a range whose end is before its start");
        if (first <= char.MaxValue)
        {
            var end = Math.Min(last, char.MaxValue);
            _standIns.Take(first, end);
            Write((char)first);
            if (end > first)
            {
                _written.Append('-');
                Write((char)end);
            }
        }

        if (last > char.MaxValue)
        {
            _written.Append((char)(Placeholder + _standIns.Name(Math.Max(first, char.MaxValue + 1), last)));
            _ranges += _ranges < MostRangesBeyond && !ignoreCase ? 1
                : throw Refuse($"more than {MostRangesBeyond} ranges beyond U+FFFF, or one in (?i:…),");
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
        // An escaped hyphen begins no range.
        _ when character == '-' || char.IsControl(character) || char.GetUnicodeCategory(character) is UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate =>
            _written.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}"),
        _ when @"\*+?|{[()^$.#]".Contains(character) => _written.Append('\\').Append(character),
        _ => _written.Append(character),
    };

    private int CodePoint(string text)
    {
        const string Letters = "rntfv";
        var number = text is ['\\', 'x' or 'u', _, ..] ? int.Parse(text[2..].Trim('{', '}'), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
            : text is ['\\', var letter] ? Letters.IndexOf(letter) is >= 0 and var index ? "\r\n\t\f\v"[index] : letter
            : char.ConvertToUtf32(text, 0);
        return Rune.IsValid(number) ? number : throw Refuse("this character number");
    }

    private Match Next(Regex expected)
    {
        var match = expected.Match(_pattern, _position);
        _position += match.Success ? match.Length
            : throw Refuse(_position == _pattern.Length ? "an end" : $"'{JsonField.Excerpt(_pattern[_position..], 8)}'");
        return match;
    }

    private void RefuseIf(bool isSo, string what) => _ = isSo ? throw Refuse(what) : 0;

    private NotSupportedException Refuse(string what) => new(string.Create(
        CultureInfo.InvariantCulture, $"The pattern {JsonField.Excerpt(_pattern, 80)} has {what} at position {_position}, which is not supported."));
}
