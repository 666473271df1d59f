using System.Buffers;
using System.Globalization;
using System.Text;

namespace HeadScope.Transformers.Tokenization;

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

    private static readonly Lazy<Data> Unicode = new(Data.Read);

    /// <summary>The text in NFC; the same string when it surely is already.</summary>
    /// <param name="text">Text without lone surrogates.</param>
    public static string Normalize(string text)
    {
        // Nothing below U+0300 decomposes in a way that does not compose back, and nothing there combines.
        if (text.AsSpan().IndexOfAnyExceptInRange('\0', '\u02FF') < 0)
        {
            return text;
        }

        var data = Unicode.Value;
        var points = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, data, points);
        }

        Reorder(points, data);
        Compose(points, data);
        var result = new StringBuilder(text.Length);
        foreach (var point in points)
        {
            result.Append(new Rune(point).ToString());
        }

        return result.ToString();
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
                    }

                    continue;
                }

                data.Decompositions[numbers[0]] = (numbers[1], numbers.Length > 2 ? numbers[2] : 0);
                if (line[0] != '!')
                {
                    data.Compositions[(numbers[1], numbers[2])] = numbers[0];
                }
            }

            return data;
        }
    }
}
