using System.Buffers;
using System.Text;

namespace HeadScope;

/// <summary>
/// Unicode's composed normal form NFC (Unicode Standard, section 3.11). Own code, because .NET's <see cref="string.Normalize()"/>
/// leaves text unchanged when it runs without ICU, as it does in invariant mode.
/// </summary>
internal sealed class CanonicalComposition
{
    // Hangul syllables are composed by arithmetic (section 3.12).
    private const int SyllableBase = 0xAC00;
    private const int LeadBase = 0x1100;
    private const int VowelBase = 0x1161;
    private const int TrailBase = 0x11A7;
    private const int LeadCount = 19;
    private const int VowelCount = 21;
    private const int TrailCount = 28;

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
        // Beside the vowels and trails of Hangul, all surrogates count as changing: the few that are not cost only time.
        var changing = Enumerable.Range(VowelBase, VowelCount).Concat(Enumerable.Range(TrailBase + 1, TrailCount - 1))
            .Concat(Enumerable.Range(0xD800, 0x800)).ToHashSet();
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

                continue;
            }

            _decompositions[numbers[0]] = numbers[1..];
            changing.Add(line[0] == '!' ? numbers[0] : numbers[2]);
            if (line[0] != '!')
            {
                _compositions[(numbers[1], numbers[2])] = numbers[0];
            }
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
            foreach (var point in Composed(text.AsSpan(start, end - start)))
            {
                result.Append(char.ConvertFromUtf32(point));
            }

            done = end;
        }

        return result?.Append(text, done, text.Length - done).ToString() ?? text;
    }

    private List<int> Composed(ReadOnlySpan<char> text)
    {
        var points = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, points);
        }

        Reorder(points);

        // Each character joins the last starter before it unless something between blocks it.
        var (count, starter, lastClass) = (0, -1, 0);
        foreach (var point in points.ToArray())
        {
            var pointClass = _classes.GetValueOrDefault(point);
            if (starter >= 0
                && (starter == count - 1 || (lastClass != 0 && lastClass < pointClass))
                && Pair(points[starter], point) is { } composed)
            {
                points[starter] = composed;
                continue;
            }

            starter = pointClass == 0 ? count : starter;
            lastClass = pointClass;
            points[count++] = point;
        }

        points.RemoveRange(count, points.Count - count);
        return points;
    }

    // Syllables of Hangul stay whole: nothing that joins them needs their parts.
    private void Decompose(int point, List<int> points)
    {
        if (!_decompositions.TryGetValue(point, out var parts))
        {
            points.Add(point);
            return;
        }

        foreach (var part in parts)
        {
            Decompose(part, points);
        }
    }

    /// <summary>Sorts each run of combining marks by class, marks of one class staying in order.</summary>
    private void Reorder(List<int> points)
    {
        for (var start = 0; start < points.Count; start++)
        {
            var end = points.FindIndex(start, point => !_classes.ContainsKey(point));
            end = end < 0 ? points.Count : end;
            if (end - start > 1)
            {
                var sorted = points.GetRange(start, end - start).OrderBy(point => _classes[point]).ToArray();
                sorted.CopyTo(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(points)[start..end]);
            }

            start = end;
        }
    }

    private int? Pair(int first, int second)
    {
        var (lead, vowel) = (first - LeadBase, second - VowelBase);
        if (lead is >= 0 and < LeadCount && vowel is >= 0 and < VowelCount)
        {
            return SyllableBase + (((lead * VowelCount) + vowel) * TrailCount);
        }

        var (syllable, trail) = (first - SyllableBase, second - TrailBase);
        if (syllable is >= 0 and < LeadCount * VowelCount * TrailCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
        {
            return first + trail;
        }

        return _compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }
}
