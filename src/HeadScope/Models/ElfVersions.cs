using System.Runtime.InteropServices;
using System.Text;

namespace HeadScope;

/// <summary>Lets TorchSharp's Linux library load where the C++ runtime is older than the one it was built with: that of Debian 12 and Ubuntu
/// 22.04 (GCC 12), and of RHEL 9 (GCC 11).</summary>
/// <remarks>Two versions of the runtime are in the way, each for one symbol. A need that is marked weak (VER_FLG_WEAK, one bit in .gnu.version_r)
/// does not stop the dynamic linker; a symbol is asked for in an older version by its number in .gnu.version.</remarks>
internal static class ElfVersions
{
    private const uint Magic = 0x464C457F;
    private const uint Symbols = 11, Needs = 0x6ffffffe, Numbers = 0x6fffffff; // SHT_DYNSYM, SHT_GNU_verneed, SHT_GNU_versym
    private const ushort Weak = 2;

    private static readonly (string Version, string Symbol, string? Older)[] Reliefs =
    [
        // A marker that code built with GCC 13 has only so that older runtimes are refused; nothing calls it.
        ("GLIBCXX_3.4.32", "_ZSt21ios_base_library_initv", null),

        // std::condition_variable::wait: newer and older are the same, but for a thread that is cancelled while it waits.
        ("GLIBCXX_3.4.30", "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE", "GLIBCXX_3.4.11"),
    ];

    /// <summary>Takes the needs of a 64-bit little-endian shared library for both versions out of the way, in place, by a bit for a version and a
    /// number for a symbol. False when nothing was changed: it has no such need, or other symbols have it too.</summary>
    public static bool Relax(Span<byte> elf)
    {
        try
        {
            return elf.Length > 64 && U32(elf, 0) == Magic && elf[4] == 2 && elf[5] == 1 && RelaxNeeds(elf);
        }
        catch (Exception error) when (error is ArgumentException or OverflowException)
        {
            return false; // an offset that leads out of the file
        }
    }

    private static bool RelaxNeeds(Span<byte> elf)
    {
        if (Section(elf, Needs) is not { } needs || Section(elf, Symbols) is not { } symbols || Section(elf, Numbers) is not { } numbers)
        {
            return false;
        }

        var places = new Dictionary<string, long>(StringComparer.Ordinal);
        var libraries = U32(elf, needs.Header + 44); // sh_info
        for (var library = needs.Offset; libraries > 0; libraries--, library += U32(elf, library + 12))
        {
            var count = U16(elf, library + 2);
            for (var need = library + U32(elf, library + 8); count > 0; count--, need += U32(elf, need + 12))
            {
                places[Text(elf, needs.Strings + U32(elf, need + 8))] = need;
            }
        }

        var changed = false;
        foreach (var (version, symbol, older) in Reliefs)
        {
            var replacement = 0L;
            if (!places.TryGetValue(version, out var need) || (older is not null && !places.TryGetValue(older, out replacement)))
            {
                continue;
            }

            var number = U16(elf, need + 6);
            var users = new List<long>();
            for (long i = 0; i < symbols.Size / 24; i++)
            {
                users.AddRange((U16(elf, numbers.Offset + (2 * i)) & 0x7fff) == number ? [i] : []);
            }

            if (users is [var user] && Text(elf, symbols.Strings + U32(elf, symbols.Offset + (24 * user))) == symbol)
            {
                MemoryMarshal.Write(elf[(int)(need + 4)..], (ushort)(U16(elf, need + 4) | Weak));
                MemoryMarshal.Write(elf[(int)(numbers.Offset + (2 * user))..], older is null ? number : U16(elf, replacement + 6));
                changed = true;
            }
        }

        return changed;
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

    private static ushort U16(ReadOnlySpan<byte> elf, long at) => Read<ushort>(elf, at);

    private static uint U32(ReadOnlySpan<byte> elf, long at) => Read<uint>(elf, at);

    private static long I64(ReadOnlySpan<byte> elf, long at) => Read<long>(elf, at);

    private static T Read<T>(ReadOnlySpan<byte> elf, long at)
        where T : unmanaged => MemoryMarshal.Read<T>(elf[checked((int)at)..]);

    private static string Text(ReadOnlySpan<byte> elf, long at)
    {
        var text = elf[checked((int)at)..];
        return Encoding.ASCII.GetString(text[..Math.Max(0, text.IndexOf((byte)0))]);
    }
}
