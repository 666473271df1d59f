using System.Buffers.Binary;
using System.Text;

namespace HeadScope;

/// <summary>
/// Lets TorchSharp's Linux library load where the C++ runtime is older than GCC 13's, as on Debian 12 and Ubuntu 22.04.
/// </summary>
/// <remarks>
/// Code built with GCC 13 asks for the version GLIBCXX_3.4.32 of the runtime only to refuse older ones: its single symbol there is a marker,
/// which nothing calls. A need that is marked weak (VER_FLG_WEAK, one bit in .gnu.version_r) does not stop the dynamic linker.
/// </remarks>
internal static class ElfVersions
{
    private const string Version = "GLIBCXX_3.4.32";
    private const string Marker = "_ZSt21ios_base_library_initv";
    private const uint Magic = 0x464C457F;
    private const uint Symbols = 11, Needs = 0x6ffffffe, SymbolVersions = 0x6fffffff; // SHT_DYNSYM, SHT_GNU_verneed, SHT_GNU_versym
    private const ushort Weak = 2;

    /// <summary>Marks the need for the version as weak.</summary>
    /// <param name="elf">A 64-bit little-endian shared library; changed in place, by one bit.</param>
    /// <returns>False, and nothing is changed, when there is no such need, or when another symbol than the marker has it.</returns>
    public static bool Relax(Span<byte> elf)
    {
        try
        {
            return elf.Length > 64 && U32(elf, 0) == Magic && elf[4] == 2 && elf[5] == 1 && RelaxNeed(elf);
        }
        catch (ArgumentException)
        {
            return false; // an offset that leads out of the file
        }
    }

    private static bool RelaxNeed(Span<byte> elf)
    {
        if (Section(elf, Needs) is not { } needs || Section(elf, Symbols) is not { } symbols || Section(elf, SymbolVersions) is not { } versions)
        {
            return false;
        }

        var libraries = U32(elf, needs.Header + 44); // sh_info
        for (long library = needs.Offset; libraries > 0; libraries--, library += U32(elf, library + 12))
        {
            var count = U16(elf, library + 2);
            for (var need = library + U32(elf, library + 8); count > 0; count--, need += U32(elf, need + 12))
            {
                if (Text(elf, needs.Strings + U32(elf, need + 8)) != Version)
                {
                    continue;
                }

                var index = U16(elf, need + 6);
                for (long i = 0; i < symbols.Size / 24; i++)
                {
                    if ((U16(elf, versions.Offset + (2 * i)) & 0x7fff) == index && Text(elf, symbols.Strings + U32(elf, symbols.Offset + (24 * i))) != Marker)
                    {
                        return false;
                    }
                }

                BinaryPrimitives.WriteUInt16LittleEndian(elf[(int)(need + 4)..], (ushort)(U16(elf, need + 4) | Weak));
                return true;
            }
        }

        return false;
    }

    /// <summary>The first section of a type: where its header and its content lie, how long it is, and where the strings that it names begin.</summary>
    private static (long Header, long Offset, long Size, long Strings)? Section(ReadOnlySpan<byte> elf, uint type)
    {
        var (start, size, count) = (I64(elf, 0x28), U16(elf, 0x3A), U16(elf, 0x3C));
        for (var i = 0; i < count; i++)
        {
            var header = start + (i * size);
            if (U32(elf, header + 4) == type)
            {
                return (header, I64(elf, header + 24), I64(elf, header + 32), I64(elf, start + (U32(elf, header + 40) * size) + 24));
            }
        }

        return null;
    }

    private static ushort U16(ReadOnlySpan<byte> elf, long at) => BinaryPrimitives.ReadUInt16LittleEndian(From(elf, at));

    private static uint U32(ReadOnlySpan<byte> elf, long at) => BinaryPrimitives.ReadUInt32LittleEndian(From(elf, at));

    private static long I64(ReadOnlySpan<byte> elf, long at) => BinaryPrimitives.ReadInt64LittleEndian(From(elf, at));

    private static string Text(ReadOnlySpan<byte> elf, long at)
    {
        var text = From(elf, at);
        return Encoding.ASCII.GetString(text[..Math.Max(0, text.IndexOf((byte)0))]);
    }

    private static ReadOnlySpan<byte> From(ReadOnlySpan<byte> elf, long at) =>
        at >= 0 && at < elf.Length ? elf[(int)at..] : throw new ArgumentOutOfRangeException(nameof(at));
}
