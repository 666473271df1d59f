using System.Buffers;

namespace HeadScope;

/// <summary>Unicode's composed normal form NFC (Unicode Standard, section 3.11). Own code, because .NET's <see cref="string.Normalize()"/>
/// leaves text unchanged when it runs without ICU, as it does in invariant mode.</summary>
internal sealed class CanonicalComposition
{
    // Nothing up to here combines, and what decomposes composes back.
    private const char LastInertForSure = '\u02FF';

    private static readonly Lazy<CanonicalComposition> Unicode = new(() => new());

    private readonly Dictionary<int, int[]> _decompositions = [];
    private readonly Dictionary<(int First, int Second), int> _compositions = [];
    private readonly Dictionary<int, int> _classes = [];
    private readonly SearchValues<char> _changing;

    /// <summary>Reads canonical-composition.txt, whose head says what its lines mean.</summary>
    private CanonicalComposition()
    {
        // All surrogates count as changing: the few that are not cost only time.
        var changing = Enumerable.Range(0xD800, 0x800).ToHashSet();
        using var stream = typeof(CanonicalComposition).Assembly.GetManifestResourceStream("HeadScope.canonical-composition.txt")!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line[0] == '#')
            {
                continue;
            }

            var numbers = Array.ConvertAll(line.TrimStart('!', '@').Split(' ', '-'), word => Convert.ToInt32(word, 16));
            if (line[0] == '@')
            {
                for (var point = numbers[1]; point <= numbers[^1]; point++)
                {
                    _classes[point] = numbers[0];
                    changing.Add(point);
                }
            }
            else
            {
                _decompositions[numbers[0]] = numbers[1..];
                changing.Add(line[0] == '!' ? numbers[0] : numbers[2]);
                if (line[0] != '!')
                {
                    _compositions[(numbers[1], numbers[2])] = numbers[0];
                }
            }
        }

        // Syllables of Hangul are a vowel on a lead or a trail on these (section 3.12). They stay whole: nothing that joins them needs their parts.
        for (var syllable = 0; syllable < 19 * 21 * 28; syllable++)
        {
            var (first, second) = syllable % 28 == 0
                ? (0x1100 + (syllable / 28 / 21), 0x1161 + (syllable / 28 % 21))
                : (0xAC00 + (syllable / 28 * 28), 0x11A7 + (syllable % 28));
            _compositions[(first, second)] = 0xAC00 + syllable;
            changing.Add(second);
        }

        _changing = SearchValues.Create([.. changing.Where(point => point <= char.MaxValue).Select(point => (char)point)]);
    }

    /// <summary>The text in NFC; the same string when it is already.</summary>
    /// <param name="text">Text without lone surrogates.</param>
    public static string Normalize(string text) =>
        text.AsSpan().IndexOfAnyExceptInRange('\0', LastInertForSure) < 0 ? text : Unicode.Value.Compose(text);

    private string Compose(string text)
    {
        // A text changes only around characters that are not inert, from the inert one before them to the next one after.
        StringBuilder? result = null;
        var done = 0;
        while (text.AsSpan(done).IndexOfAny(_changing) is >= 0 and var offset)
        {
            var start = done + Math.Max(0, offset - 1);
            var length = text.AsSpan(done + offset).IndexOfAnyExcept(_changing);
            var end = length < 0 ? text.Length : done + offset + length;
            result ??= new StringBuilder(text.Length);
            result.Append(text, done, start - done);
            AppendComposed(text[start..end], result);
            done = end;
        }

        return result?.Append(text, done, text.Length - done).ToString() ?? text;
    }

    private void AppendComposed(string text, StringBuilder destination)
    {
        // Behind each starter (class 0) its marks are sorted by class, those of one class staying in order.
        var starters = 0;
        var decomposed = text.EnumerateRunes().SelectMany(rune => Decompose(rune.Value))
            .Select(point => (Point: point, Class: _classes.GetValueOrDefault(point)))
            .Select(part => (part.Point, part.Class, Starter: part.Class == 0 ? ++starters : starters))
            .ToArray().OrderBy(part => part.Starter).ThenBy(part => part.Class);

        // Each character joins the last starter before it unless something between blocks it.
        var points = new List<int>();
        var (starter, lastClass) = (-1, 0);
        foreach (var (point, pointClass, _) in decomposed)
        {
            if (starter >= 0
                && (starter == points.Count - 1 || (lastClass != 0 && lastClass < pointClass))
                && _compositions.TryGetValue((points[starter], point), out var composed))
            {
                points[starter] = composed;
                continue;
            }

            starter = pointClass == 0 ? points.Count : starter;
            lastClass = pointClass;
            points.Add(point);
        }

        points.ForEach(point => destination.Append(char.ConvertFromUtf32(point)));
    }

    private IEnumerable<int> Decompose(int point) =>
        _decompositions.TryGetValue(point, out var parts) ? parts.SelectMany(Decompose) : [point];
}
