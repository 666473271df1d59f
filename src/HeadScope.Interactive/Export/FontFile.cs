using System.Buffers.Binary;
using System.Text;

namespace HeadScope;

/// <summary>
/// An installed TrueType font, and the small part of it that some letters need: what a saved SVG carries, so that it looks the same where the
/// font is not installed. Glyphs keep their numbers up to the largest that is needed; tables for shaping, kerning and other scripts are left out.
/// </summary>
internal sealed class FontFile
{
    private static readonly string[] Kept = ["OS/2", "cvt ", "fpgm", "head", "hhea", "maxp", "name", "prep"];

    private readonly byte[] data;
    private readonly Dictionary<string, (int Offset, int Length)> tables = new(StringComparer.Ordinal);

    private FontFile(byte[] data)
    {
        this.data = data;
        for (var i = 0; i < U16(4); i++)
        {
            var entry = 12 + (i * 16);
            tables[Encoding.ASCII.GetString(data, entry, 4)] = ((int)U32(entry + 8), (int)U32(entry + 12));
        }
    }

    /// <summary>Finds an installed font by its PostScript name, such as <c>LiberationSans</c>.</summary>
    /// <param name="postScriptName">The name, as the browser reports it.</param>
    /// <returns>The font; null when no TrueType font of that name is installed where fonts usually are.</returns>
    public static FontFile? Find(string postScriptName)
    {
        var options = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, MatchCasing = MatchCasing.CaseInsensitive };
        foreach (var path in Folders().Where(Directory.Exists).SelectMany(folder => Directory.EnumerateFiles(folder, "*.ttf", options)))
        {
            try
            {
                var font = new FontFile(File.ReadAllBytes(path));
                if (font.tables.ContainsKey("glyf") && font.PostScriptName() == postScriptName)
                {
                    return font;
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or IndexOutOfRangeException)
            {
                // Not readable, or not a font: another may be it.
            }
        }

        return null;
    }

    /// <summary>The part of the font that some letters need, as a font file of its own.</summary>
    /// <param name="letters">The letters; those that the font does not have are left out.</param>
    /// <returns>The file.</returns>
    public byte[] Subset(IEnumerable<Rune> letters)
    {
        var glyphs = letters.Distinct().Select(letter => (Letter: letter.Value, Glyph: GlyphOf(letter.Value))).Where(pair => pair.Glyph > 0).OrderBy(pair => pair.Letter).ToArray();
        var needed = new SortedSet<int> { 0 };
        foreach (var (_, glyph) in glyphs)
        {
            Need(glyph, needed);
        }

        var count = needed.Max + 1;
        var (outlines, places) = Outlines(needed, count);
        var parts = new SortedDictionary<string, byte[]>(StringComparer.Ordinal)
        {
            ["cmap"] = Map(glyphs),
            ["glyf"] = outlines,
            ["loca"] = places,
            ["hmtx"] = Widths(count),
            ["post"] = [0, 3, .. new byte[30]],
        };
        foreach (var name in Kept.Where(tables.ContainsKey))
        {
            parts[name] = data[tables[name].Offset..(tables[name].Offset + tables[name].Length)];
        }

        BinaryPrimitives.WriteInt16BigEndian(parts["head"].AsSpan(50), 1);
        BinaryPrimitives.WriteUInt32BigEndian(parts["head"].AsSpan(8), 0);
        BinaryPrimitives.WriteUInt16BigEndian(parts["maxp"].AsSpan(4), (ushort)count);
        BinaryPrimitives.WriteUInt16BigEndian(parts["hhea"].AsSpan(34), (ushort)count);
        return Assemble(parts);
    }

    private static IEnumerable<string> Folders()
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return OperatingSystem.IsWindows()
            ? [Environment.GetFolderPath(Environment.SpecialFolder.Fonts)]
            : OperatingSystem.IsMacOS()
                ? ["/System/Library/Fonts", "/Library/Fonts", Path.Combine(home, "Library", "Fonts")]
                : ["/usr/share/fonts", "/usr/local/share/fonts", Path.Combine(home, ".fonts"), Path.Combine(home, ".local", "share", "fonts")];
    }

    private int U16(int at) => BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(at));

    private uint U32(int at) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(at));

    private string? PostScriptName()
    {
        const int PostScript = 6;
        var table = tables["name"].Offset;
        for (var i = 0; i < U16(table + 2); i++)
        {
            var record = table + 6 + (i * 12);
            if (U16(record + 6) == PostScript)
            {
                var text = data.AsSpan(table + U16(table + 4) + U16(record + 10), U16(record + 8));
                return U16(record) == 1 ? Encoding.Latin1.GetString(text) : Encoding.BigEndianUnicode.GetString(text);
            }
        }

        return null;
    }

    private int GlyphOf(int letter)
    {
        var table = tables["cmap"].Offset;
        for (var i = 0; i < U16(table + 2); i++)
        {
            var record = table + 4 + (i * 8);
            var map = table + (int)U32(record + 4);
            var glyph = (U16(record), U16(map)) switch
            {
                (0 or 3, 4) when letter <= 0xFFFF => InSegments(map, letter),
                (0 or 3, 12) => InGroups(map, letter),
                _ => 0,
            };
            if (glyph > 0)
            {
                return glyph;
            }
        }

        return 0;
    }

    private int InSegments(int map, int letter)
    {
        var twice = U16(map + 6);
        for (var segment = 0; segment < twice; segment += 2)
        {
            if (letter > U16(map + 14 + segment))
            {
                continue;
            }

            var start = U16(map + 16 + twice + segment);
            var delta = U16(map + 16 + (2 * twice) + segment);
            var rangeAt = map + 16 + (3 * twice) + segment;
            if (letter < start)
            {
                return 0;
            }

            if (U16(rangeAt) == 0)
            {
                return (letter + delta) & 0xFFFF;
            }

            var glyph = U16(rangeAt + U16(rangeAt) + (2 * (letter - start)));
            return glyph == 0 ? 0 : (glyph + delta) & 0xFFFF;
        }

        return 0;
    }

    private int InGroups(int map, int letter)
    {
        for (var group = 0; group < U32(map + 12); group++)
        {
            var at = map + 16 + (group * 12);
            if (letter >= U32(at) && letter <= U32(at + 4))
            {
                return (int)(U32(at + 8) + (letter - U32(at)));
            }
        }

        return 0;
    }

    private (int Start, int End) Outline(int glyph)
    {
        var (places, outlines) = (tables["loca"].Offset, tables["glyf"].Offset);
        return U16(tables["head"].Offset + 50) == 0
            ? (outlines + (2 * U16(places + (2 * glyph))), outlines + (2 * U16(places + (2 * glyph) + 2)))
            : (outlines + (int)U32(places + (4 * glyph)), outlines + (int)U32(places + (4 * glyph) + 4));
    }

    /// <summary>A glyph, and those that it is put together from.</summary>
    private void Need(int glyph, SortedSet<int> needed)
    {
        var (at, end) = Outline(glyph);
        if (!needed.Add(glyph) || at == end || (short)U16(at) >= 0)
        {
            return;
        }

        const int WordArguments = 1, OneScale = 8, More = 32, TwoScales = 64, Matrix = 128;
        at += 10;
        int flags;
        do
        {
            flags = U16(at);
            Need(U16(at + 2), needed);
            at += 4 + ((flags & WordArguments) != 0 ? 4 : 2)
                + ((flags & OneScale) != 0 ? 2 : (flags & TwoScales) != 0 ? 4 : (flags & Matrix) != 0 ? 8 : 0);
        }
        while ((flags & More) != 0);
    }

    private (byte[] Outlines, byte[] Places) Outlines(SortedSet<int> needed, int count)
    {
        using var outlines = new MemoryStream();
        var places = new byte[4 * (count + 1)];
        for (var glyph = 0; glyph < count; glyph++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(places.AsSpan(4 * glyph), (uint)outlines.Length);
            if (needed.Contains(glyph))
            {
                var (start, end) = Outline(glyph);
                outlines.Write(data, start, end - start);
                outlines.Write(new byte[(4 - (outlines.Length % 4)) % 4]);
            }
        }

        BinaryPrimitives.WriteUInt32BigEndian(places.AsSpan(4 * count), (uint)outlines.Length);
        return (outlines.ToArray(), places);
    }

    private byte[] Widths(int count)
    {
        var (table, full) = (tables["hmtx"].Offset, U16(tables["hhea"].Offset + 34));
        var widths = new byte[4 * count];
        for (var glyph = 0; glyph < count; glyph++)
        {
            // Glyphs after the last full entry share its width and have a bearing of their own.
            data.AsSpan(table + (4 * Math.Min(glyph, full - 1)), 2).CopyTo(widths.AsSpan(4 * glyph));
            data.AsSpan(glyph < full ? table + (4 * glyph) + 2 : table + (4 * full) + (2 * (glyph - full)), 2).CopyTo(widths.AsSpan((4 * glyph) + 2));
        }

        return widths;
    }

    /// <summary>A table of letters and glyphs, in the format for all of Unicode.</summary>
    private static byte[] Map((int Letter, int Glyph)[] glyphs)
    {
        var map = new byte[12 + 16 + (12 * glyphs.Length)];
        var span = map.AsSpan();
        BinaryPrimitives.WriteUInt16BigEndian(span[2..], 1);
        BinaryPrimitives.WriteUInt16BigEndian(span[4..], 3);
        BinaryPrimitives.WriteUInt16BigEndian(span[6..], 10);
        BinaryPrimitives.WriteUInt32BigEndian(span[8..], 12);
        BinaryPrimitives.WriteUInt16BigEndian(span[12..], 12);
        BinaryPrimitives.WriteUInt32BigEndian(span[16..], (uint)(map.Length - 12));
        BinaryPrimitives.WriteUInt32BigEndian(span[24..], (uint)glyphs.Length);
        for (var i = 0; i < glyphs.Length; i++)
        {
            var group = span[(28 + (12 * i))..];
            BinaryPrimitives.WriteUInt32BigEndian(group, (uint)glyphs[i].Letter);
            BinaryPrimitives.WriteUInt32BigEndian(group[4..], (uint)glyphs[i].Letter);
            BinaryPrimitives.WriteUInt32BigEndian(group[8..], (uint)glyphs[i].Glyph);
        }

        return map;
    }

    private static byte[] Assemble(SortedDictionary<string, byte[]> parts)
    {
        var power = (int)Math.Log2(parts.Count);
        var offset = 12 + (16 * parts.Count);
        var file = new byte[offset + parts.Values.Sum(part => Padded(part.Length))];
        BinaryPrimitives.WriteUInt32BigEndian(file, 0x00010000);
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(4), (ushort)parts.Count);
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(6), (ushort)(16 << power));
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(8), (ushort)power);
        BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(10), (ushort)((16 * parts.Count) - (16 << power)));
        var (entry, head) = (12, 0);
        foreach (var (name, part) in parts)
        {
            part.CopyTo(file, offset);
            Encoding.ASCII.GetBytes(name, file.AsSpan(entry));
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(entry + 4), Sum(file.AsSpan(offset, Padded(part.Length))));
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(entry + 8), (uint)offset);
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(entry + 12), (uint)part.Length);
            head = name == "head" ? offset : head;
            offset += Padded(part.Length);
            entry += 16;
        }

        // The sum over the whole file, itself counted as 0, is made to be this number.
        BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(head + 8), 0xB1B0AFBA - Sum(file));
        return file;
    }

    private static int Padded(int length) => (length + 3) & ~3;

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0u;
        for (var i = 0; i < bytes.Length; i += 4)
        {
            sum += BinaryPrimitives.ReadUInt32BigEndian(bytes[i..]);
        }

        return sum;
    }
}
