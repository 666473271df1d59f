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
    public static bool Relax(byte[] elf)
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

    private static bool RelaxNeeds(byte[] elf)
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
            var indices = Enumerable.Range(0, checked((int)(symbols.Size / 24)));
            if (indices.Where(i => (U16(elf, numbers.Offset + (2L * i)) & 0x7fff) == number).ToArray() is [var user]
                && Text(elf, symbols.Strings + U32(elf, symbols.Offset + (24L * user))) == symbol)
            {
                BitConverter.TryWriteBytes(elf.AsSpan((int)need + 4), (ushort)(U16(elf, need + 4) | Weak));
                BitConverter.TryWriteBytes(elf.AsSpan((int)numbers.Offset + (2 * user)), older is null ? number : U16(elf, replacement + 6));
                changed = true;
            }
        }

        return changed;
    }

    /// <summary>The first section of a type: where its header and its content lie, how long it is, and where the strings that it names begin.</summary>
    private static (long Header, long Offset, long Size, long Strings)? Section(byte[] elf, uint type)
    {
        var (start, size) = (I64(elf, 0x28), U16(elf, 0x3A));
        var headers = Enumerable.Range(0, U16(elf, 0x3C)).Select(i => start + (i * size)).Where(header => U32(elf, header + 4) == type);
        return headers.FirstOrDefault() is > 0 and var found
            ? (found, I64(elf, found + 24), I64(elf, found + 32), I64(elf, start + (U32(elf, found + 40) * size) + 24))
            : null;
    }

    private static ushort U16(byte[] elf, long at) => BitConverter.ToUInt16(elf, checked((int)at));

    private static uint U32(byte[] elf, long at) => BitConverter.ToUInt32(elf, checked((int)at));

    private static long I64(byte[] elf, long at) => BitConverter.ToInt64(elf, checked((int)at));

    private static string Text(byte[] elf, long at)
    {
        var text = elf.AsSpan(checked((int)at));
        return Encoding.ASCII.GetString(text[..Math.Max(0, text.IndexOf((byte)0))]);
    }
}
