using System.Buffers;
using System.Globalization;
using System.Text;

namespace HeadScope;

/// <summary>
/// Unicode's composed normal form NFC (Unicode Standard, section 3.11). Own code, because .NET's <see cref="string.Normalize()"/>
/// leaves text unchanged when it runs without ICU, as it does in invariant mode.
/// </summary>
internal static class CanonicalComposition
{
    // Hangul syllables are composed by arithmetic (section 3.12).
    private const int SyllableBase = 0xAC00;
    private const int LeadBase = 0x1100;
    private const int VowelBase = 0x1161;
    private const int TrailBase = 0x11A7;
    private const int LeadCount = 19;
    private const int VowelCount = 21;
    private const int TrailCount = 28;
    private const int SyllableCount = LeadCount * VowelCount * TrailCount;

    // Nothing up to here combines, and what decomposes composes back.
    private const char LastInertForSure = '\u02FF';

    private static readonly Lazy<Data> Unicode = new(Data.Read);

    /// <summary>The text in NFC; the same string when it is already.</summary>
    /// <param name="text">Text without lone surrogates.</param>
    public static string Normalize(string text)
    {
        // A text changes only around characters that are not inert, from the inert one before them to the next one after.
        StringBuilder? result = null;
        var done = 0;
        var lastInert = 0;
        for (var position = 0; position < text.Length;)
        {
            var plain = text.AsSpan(position).IndexOfAnyExceptInRange('\0', LastInertForSure);
            if (plain < 0)
            {
                break;
            }

            lastInert = plain > 0 ? position + plain - 1 : lastInert;
            position += plain;
            var rune = Rune.GetRuneAt(text, position);
            if (Unicode.Value.IsInert(rune.Value))
            {
                lastInert = position;
                position += rune.Utf16SequenceLength;
                continue;
            }

            while (position < text.Length && Rune.GetRuneAt(text, position) is var next && !Unicode.Value.IsInert(next.Value))
            {
                position += next.Utf16SequenceLength;
            }

            result ??= new StringBuilder(text.Length);
            result.Append(text, done, lastInert - done);
            AppendComposed(text.AsSpan(lastInert, position - lastInert), Unicode.Value, result);
            done = position;
            lastInert = position;
        }

        return result is null ? text : result.Append(text, done, text.Length - done).ToString();
    }

    private static void AppendComposed(ReadOnlySpan<char> text, Data data, StringBuilder destination)
    {
        var points = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, data, points);
        }

        Reorder(points, data);
        Compose(points, data);
        Span<char> units = stackalloc char[2];
        foreach (var point in points)
        {
            destination.Append(units[..new Rune(point).EncodeToUtf16(units)]);
        }
    }

    private static void Decompose(int point, Data data, List<int> points)
    {
        var syllable = point - SyllableBase;
        if (syllable is >= 0 and < SyllableCount)
        {
            points.Add(LeadBase + (syllable / (VowelCount * TrailCount)));
            points.Add(VowelBase + (syllable / TrailCount % VowelCount));
            if (syllable % TrailCount != 0)
            {
                points.Add(TrailBase + (syllable % TrailCount));
            }
        }
        else if (data.Decompositions.TryGetValue(point, out var parts))
        {
            Decompose(parts.First, data, points);
            if (parts.Second != 0)
            {
                Decompose(parts.Second, data, points);
            }
        }
        else
        {
            points.Add(point);
        }
    }

    /// <summary>Sorts each run of combining marks by class, marks of one class staying in order.</summary>
    private static void Reorder(List<int> points, Data data)
    {
        for (var start = 0; start < points.Count;)
        {
            if (data.ClassOf(points[start]) == 0)
            {
                start++;
                continue;
            }

            var end = start;
            while (end < points.Count && data.ClassOf(points[end]) != 0)
            {
                end++;
            }

            if (end - start > 1)
            {
                var sorted = points.GetRange(start, end - start).OrderBy(data.ClassOf).ToArray();
                for (var i = 0; i < sorted.Length; i++)
                {
                    points[start + i] = sorted[i];
                }
            }

            start = end;
        }
    }

    /// <summary>Joins each character with the last starter before it unless something between blocks it.</summary>
    private static void Compose(List<int> points, Data data)
    {
        var count = 0;
        var starter = -1;
        var lastClass = 0;
        for (var i = 0; i < points.Count; i++)
        {
            var point = points[i];
            var pointClass = data.ClassOf(point);
            var adjacent = starter >= 0 && starter == count - 1;
            if (starter >= 0
                && (adjacent || (lastClass != 0 && lastClass < pointClass))
                && Pair(points[starter], point, data) is { } composed)
            {
                points[starter] = composed;
                continue;
            }

            if (pointClass == 0)
            {
                starter = count;
            }

            lastClass = pointClass;
            points[count++] = point;
        }

        points.RemoveRange(count, points.Count - count);
    }

    private static int? Pair(int first, int second, Data data)
    {
        var lead = first - LeadBase;
        var vowel = second - VowelBase;
        if (lead is >= 0 and < LeadCount && vowel is >= 0 and < VowelCount)
        {
            return SyllableBase + (((lead * VowelCount) + vowel) * TrailCount);
        }

        var syllable = first - SyllableBase;
        var trail = second - TrailBase;
        if (syllable is >= 0 and < SyllableCount && syllable % TrailCount == 0 && trail is > 0 and < TrailCount)
        {
            return first + trail;
        }

        return data.Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    /// <summary>The tables of canonical-composition.txt, whose head says what its lines mean.</summary>
    private sealed class Data
    {
        public Dictionary<int, (int First, int Second)> Decompositions { get; } = [];

        public Dictionary<(int First, int Second), int> Compositions { get; } = [];

        private Dictionary<int, byte> Classes { get; } = [];

        private HashSet<int> Changing { get; } = [];

        /// <summary>Whether the character, in any text, neither changes nor joins or changes place with what stands before it.</summary>
        public bool IsInert(int point) =>
            !Changing.Contains(point)
            && !(point - VowelBase is >= 0 and < VowelCount)
            && !(point - TrailBase is > 0 and < TrailCount);

        public int ClassOf(int point) => Classes.TryGetValue(point, out var value) ? value : 0;

        public static Data Read()
        {
            var data = new Data();
            using var stream = typeof(CanonicalComposition).Assembly.GetManifestResourceStream("HeadScope.canonical-composition.txt")!;
            using var reader = new StreamReader(stream);
            while (reader.ReadLine() is { } line)
            {
                if (line.StartsWith('#'))
                {
                    continue;
                }

                var numbers = line.TrimStart('!', '@').Split(' ', '-')
                    .Select(word => int.Parse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
                    .ToArray();
                if (line[0] == '@')
                {
                    for (var point = numbers[1]; point <= numbers[^1]; point++)
                    {
                        data.Classes[point] = (byte)numbers[0];
                        data.Changing.Add(point);
                    }

                    continue;
                }

                data.Decompositions[numbers[0]] = (numbers[1], numbers.Length > 2 ? numbers[2] : 0);
                if (line[0] == '!')
                {
                    data.Changing.Add(numbers[0]);
                }
                else
                {
                    data.Compositions[(numbers[1], numbers[2])] = numbers[0];
                    data.Changing.Add(numbers[2]);
                }
            }

            return data;
        }
    }
}
