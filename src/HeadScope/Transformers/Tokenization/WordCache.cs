namespace HeadScope.Transformers.Tokenization;

/// <summary>
/// The tokens of words seen before: a table of fixed size in which a new word takes the place of an older one. Entries never
/// change once made and are exchanged whole, so threads share it without a lock, and what it holds never changes a result.
/// </summary>
internal sealed class WordCache
{
    private const int LongestWord = 64;
    private const int Size = 1 << 16;

    private readonly Entry?[] _entries = new Entry?[Size];

    /// <summary>The tokens of a word, if it is there; <paramref name="slot"/> is where <see cref="Add"/> puts it otherwise.</summary>
    public int[]? Find(ReadOnlySpan<char> word, out int slot)
    {
        if (word.Length > LongestWord)
        {
            slot = -1;
            return null;
        }

        slot = (int)(Hash(word) >> 48);
        var entry = Volatile.Read(ref _entries[slot]);
        return entry is not null && word.SequenceEqual(entry.Word) ? entry.Tokens : null;
    }

    /// <summary>Keeps the tokens of a word at the slot that <see cref="Find"/> gave for it.</summary>
    public void Add(int slot, ReadOnlySpan<char> word, ReadOnlySpan<int> tokens)
    {
        if (slot >= 0)
        {
            Volatile.Write(ref _entries[slot], new Entry(word.ToString(), tokens.ToArray()));
        }
    }

    private static ulong Hash(ReadOnlySpan<char> word)
    {
        const ulong Multiplier = 0x9E3779B97F4A7C15;
        var hash = (ulong)word.Length;
        var bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(word);
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            hash = (hash ^ BitConverter.ToUInt64(bytes)) * Multiplier;
            hash ^= hash >> 32;
        }

        foreach (var value in bytes)
        {
            hash = (hash ^ value) * Multiplier;
        }

        return (hash ^ (hash >> 29)) * Multiplier;
    }

    private sealed record Entry(string Word, int[] Tokens);
}
