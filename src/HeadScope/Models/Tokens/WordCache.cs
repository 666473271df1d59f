using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// The tokens of words seen before: a hash table of fixed size in which, once the few places for a word are taken, it replaces the
/// one in the first. Entries never change once made and are exchanged whole, so threads share the table without a lock, and what it
/// holds never changes a result.
/// </summary>
internal sealed class WordCache
{
    private const int LongestWord = 64;
    private const int SizeBits = 16;
    private const int MostProbes = 8;

    private readonly Entry?[] _entries = new Entry?[1 << SizeBits];

    /// <summary>The tokens of a word, if it is there; <paramref name="place"/> is where <see cref="Add"/> puts it otherwise.</summary>
    public int[]? Find(ReadOnlySpan<char> word, out int place)
    {
        place = -1;
        if (word.Length > LongestWord)
        {
            return null;
        }

        var first = (int)(Hash(word) >> (64 - SizeBits));
        for (var probe = 0; probe < MostProbes; probe++)
        {
            place = (first + probe) & (_entries.Length - 1);
            var entry = Volatile.Read(ref _entries[place]);
            if (entry is null)
            {
                return null;
            }

            if (word.SequenceEqual(entry.Word))
            {
                return entry.Tokens;
            }
        }

        place = first;
        return null;
    }

    /// <summary>Keeps the tokens of a word at the place that <see cref="Find"/> gave for it.</summary>
    public void Add(int place, ReadOnlySpan<char> word, ReadOnlySpan<int> tokens)
    {
        if (place >= 0)
        {
            Volatile.Write(ref _entries[place], new Entry(word.ToString(), tokens.ToArray()));
        }
    }

    private static ulong Hash(ReadOnlySpan<char> word)
    {
        const ulong Multiplier = 0x9E3779B97F4A7C15;
        var hash = (ulong)word.Length;
        for (; word.Length >= 4; word = word[4..])
        {
            hash = (hash ^ MemoryMarshal.Read<ulong>(MemoryMarshal.AsBytes(word))) * Multiplier;
            hash ^= hash >> 32;
        }

        foreach (var unit in word)
        {
            hash = (hash ^ unit) * Multiplier;
        }

        return (hash ^ (hash >> 29)) * Multiplier;
    }

    private sealed record Entry(string Word, int[] Tokens);
}
