using System.Buffers.Binary;
using System.Text;

namespace HeadScope.Tests;

public sealed class ElfVersionsTests
{
    private const string Marker = "_ZSt21ios_base_library_initv", Wait = "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE";
    private const string Newest = "GLIBCXX_3.4.32", Newer = "GLIBCXX_3.4.30", Old = "GLIBCXX_3.4.11";

    // Where Library puts them: the needs of 16 bytes after the two of the C library, and the numbers of the symbols.
    private const int Flags = 4;

    [Fact]
    public void Both_needs_of_TorchSharp_are_relaxed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The library is that of Linux.");
        var before = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "libtorch", "libLibTorchSharp.so"));
        var after = before.ToArray();
        Assert.True(ElfVersions.Relax(after));

        // Two flags and one number, each of two bytes.
        Assert.Equal(3, Enumerable.Range(0, before.Length / 2).Count(i => before[2 * i] != after[2 * i] || before[(2 * i) + 1] != after[(2 * i) + 1]));
    }

    [Fact]
    public void The_markers_need_becomes_weak()
    {
        var elf = Library([(Newest, 3)], [(Marker, 3), ("other", 0)], out var needs, out var numbers);
        var expected = elf.ToArray();
        expected[needs[0] + Flags] = 2;
        Assert.True(ElfVersions.Relax(elf));
        Assert.Equal(expected, elf);
        Assert.NotEqual(0, numbers);
    }

    [Fact]
    public void The_wait_is_asked_for_in_its_older_version()
    {
        var elf = Library([(Old, 9), (Newer, 3), (Newest, 4)], [("other", 9), (Wait, 3), (Marker, 4)], out var needs, out var numbers);
        var expected = elf.ToArray();
        expected[needs[1] + Flags] = 2;
        expected[needs[2] + Flags] = 2;
        expected[numbers + 2] = 9;
        Assert.True(ElfVersions.Relax(elf));
        Assert.Equal(expected, elf);
    }

    [Fact]
    public void A_version_that_another_symbol_needs_stays()
    {
        Unchanged(Library([(Newest, 3)], [(Marker, 3), ("_ZSt4more", 3)], out _, out _));
        Unchanged(Library([(Newest, 3)], [("_ZSt4more", 3)], out _, out _));
        Unchanged(Library([(Newer, 3)], [(Wait, 3)], out _, out _)); // without the older version
        Unchanged(Library([(Old, 3)], [(Wait, 3)], out _, out _));
    }

    [Fact]
    public void What_is_no_such_library_stays()
    {
        Unchanged([]);
        Unchanged(Encoding.ASCII.GetBytes(new string('x', 200)));
        var elf = Library([(Newest, 3)], [(Marker, 3)], out _, out _);
        for (var length = 0; length < elf.Length - 32; length++)
        {
            Unchanged(elf[..length]); // up to the last field that matters, of the last header
        }

        elf[4] = 1; // 32 bits
        Unchanged(elf);
    }

    private static void Unchanged(byte[] elf)
    {
        var before = elf.ToArray();
        Assert.False(ElfVersions.Relax(elf));
        Assert.Equal(before, elf);
    }

    /// <summary>A shared library of three sections and their strings: the needs of one library's versions, the symbols, their numbers.</summary>
    private static byte[] Library((string Version, ushort Number)[] versions, (string Name, ushort Number)[] symbols, out int[] needs, out int numbers)
    {
        var elf = new byte[4096];
        var end = 64;
        var strings = new List<byte> { 0 };

        int Add(string text)
        {
            strings.AddRange(Encoding.ASCII.GetBytes(text + "\0"));
            return strings.Count - text.Length - 1;
        }

        int Take(int size) => (end += size) - size;
        void U16(int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(at), (ushort)value);
        void U32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(elf.AsSpan(at), value);
        void U64(int at, int value) => BinaryPrimitives.WriteInt64LittleEndian(elf.AsSpan(at), value);

        var need = Take(16);
        U16(need + 2, versions.Length);
        U32(need + 8, 16);
        needs = [.. versions.Select(_ => Take(16))];
        foreach (var (at, (version, number)) in needs.Zip(versions))
        {
            U16(at + 6, number);
            U32(at + 8, (uint)Add(version));
            U32(at + 12, at == needs[^1] ? 0u : 16u);
        }

        var table = Take(24 * symbols.Length);
        numbers = Take(2 * symbols.Length);
        for (var i = 0; i < symbols.Length; i++)
        {
            U32(table + (24 * i), (uint)Add(symbols[i].Name));
            U16(numbers + (2 * i), symbols[i].Number);
        }

        var text = Take(strings.Count);
        strings.CopyTo(elf, text);

        var headers = Take(64 * 4);
        (uint Type, int At, int Size, uint Info)[] sections =
        [
            (0x6ffffffe, need, 16 + (16 * versions.Length), 1),
            (11, table, 24 * symbols.Length, 0),
            (0x6fffffff, numbers, 2 * symbols.Length, 0),
            (3, text, strings.Count, 0),
        ];
        for (var i = 0; i < sections.Length; i++)
        {
            var at = headers + (64 * i);
            U32(at + 4, sections[i].Type);
            U64(at + 24, sections[i].At);
            U64(at + 32, sections[i].Size);
            U32(at + 40, 3);
            U32(at + 44, sections[i].Info);
        }

        U32(0, 0x464C457F);
        elf[4] = 2;
        elf[5] = 1;
        U64(0x28, headers);
        U16(0x3A, 64);
        U16(0x3C, sections.Length);
        return elf[..end];
    }
}
