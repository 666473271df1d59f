namespace HeadScope;

/// <summary>Byte-pair encoding of one word: its bytes as tokens, then the pair of neighbours with the lowest rank merged, the leftmost first,
/// until no pair merges (Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2).</summary>
internal sealed class BytePairEncoder
{
    // Up to this length looking through all pairs for the lowest rank is faster than keeping a heap; beyond, it is quadratic.
    private const int LongestScanned = 64;
    private const int Never = int.MaxValue;

    private readonly TokenizerDefinition _definition;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _vocabulary;
    private readonly Dictionary<ulong, (int Rank, int Result)> _merges;
    private readonly int[][] _byteTokens;
    private readonly int? _unknown;

    /// <summary>Checks and indexes vocabulary and merges.</summary>
    /// <exception cref="InvalidDataException">The vocabulary lacks what a merge names, or the unknown token where it is needed.</exception>
    public BytePairEncoder(TokenizerDefinition definition)
    {
        _definition = definition;
        _vocabulary = definition.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _unknown = definition.UnknownToken is { } name && definition.Vocabulary.TryGetValue(name, out var unknown) ? unknown : null;
        _merges = new(definition.Merges.Count);
        for (var rank = 0; rank < definition.Merges.Count; rank++)
        {
            var (left, right) = definition.Merges[rank];
            var isKnown = _vocabulary.TryGetValue(left, out var leftId) & _vocabulary.TryGetValue(right, out var rightId)
                & _vocabulary.TryGetValue(left + right, out var resultId);
            Fault.InvalidDataIf(!isKnown,
                $"{definition.Source}: merge {rank} joins '{left}' and '{right}', but the vocabulary lacks one of them or "
                + $"'{left}{right}'. Vocabulary and merges must come from the same tokenizer.");
            _merges[Pair(leftId, rightId)] = (rank, resultId);
        }

        _byteTokens = [.. Enumerable.Range(0, 256).Select(value => TokensOfByte((byte)value))];
    }

    public int[] Encode(ReadOnlySpan<char> word)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(word)];
        Encoding.UTF8.GetBytes(word, bytes);
        if (_definition.IgnoreMerges && _vocabulary.TryGetValue(string.Concat(bytes.Select(ByteSymbols.Of)), out var whole))
        {
            return [whole];
        }

        var tokens = new List<int>(bytes.Length);
        foreach (var value in bytes)
        {
            var ofByte = _byteTokens[value];
            if (!(_definition.FuseUnknown && tokens.Count > 0 && tokens[^1] == _unknown && ofByte is [var only] && only == _unknown))
            {
                tokens.AddRange(ofByte);
            }
        }

        return Merge(tokens.ToArray());
    }

    /// <summary>Merges in a linked list of tokens; in a long word the next pair comes from a heap by rank and place: n log n.</summary>
    private int[] Merge(int[] tokens)
    {
        var count = tokens.Length;
        var (before, after, ranks) = (new int[count], new int[count], new int[count]);
        var heap = count > LongestScanned ? new PriorityQueue<int, long>(count) : null;
        for (var i = 0; i < count; i++)
        {
            (before[i], after[i], ranks[i]) = (i - 1, i + 1, Never);
            Offer(i - 1);
        }

        while (Best() is >= 0 and var left)
        {
            var right = after[left];
            tokens[left] = _merges[Pair(tokens[left], tokens[right])].Result;
            (tokens[right], ranks[right], after[left]) = (-1, Never, after[right]);
            if (after[left] < count)
            {
                before[after[left]] = left;
            }

            Offer(before[left]);
            Offer(left);
        }

        return Array.FindAll(tokens, token => token >= 0);

        void Offer(int left)
        {
            if (left >= 0)
            {
                ranks[left] = after[left] < count && _merges.TryGetValue(Pair(tokens[left], tokens[after[left]]), out var merge) ? merge.Rank : Never;
                heap?.Enqueue(left, ((long)ranks[left] << 32) | (uint)left);
            }
        }

        int Best()
        {
            var best = -1;
            for (var i = 0; heap is null && i < count; i++)
            {
                best = ranks[i] < (best < 0 ? Never : ranks[best]) ? i : best;
            }

            // A pair whose tokens have changed since it was put on the heap has another rank now, or none.
            while (best < 0 && heap is not null && heap.TryDequeue(out var left, out var priority))
            {
                best = ranks[left] == (int)(priority >> 32) && ranks[left] != Never ? left : -1;
            }

            return best;
        }
    }

    // Times an odd number: a long's own hash is the exclusive or of its halves, which many pairs of tokens share.
    private static ulong Pair(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) * 0x9E3779B97F4A7C15;

    /// <summary>The token of a byte; where the vocabulary lacks it, those of the fallback, the unknown token, or none at all.</summary>
    private int[] TokensOfByte(byte value)
    {
        var symbol = ByteSymbols.Of(value).ToString();
        if (_definition.Vocabulary.TryGetValue(symbol, out var token))
        {
            return [token];
        }

        var names = Encoding.UTF8.GetBytes(symbol).Select(part => $"<0x{part:X2}>").ToArray();
        if (_definition.ByteFallback && names.All(_definition.Vocabulary.ContainsKey))
        {
            return [.. names.Select(name => _definition.Vocabulary[name])];
        }

        return _unknown is { } unknown ? [unknown]
            : _definition.UnknownToken is not { } lacking ? []
            : throw new InvalidDataException(
                $"{_definition.Source}: the vocabulary lacks byte {value} as well as the unknown token '{lacking}' that should stand for it.");
    }
}

/// <summary>The one-to-one map between bytes and printable characters in which byte-level vocabularies are written (GPT-2): bytes that are
/// printable in Latin-1 stand for themselves, the other 68 for U+0100 upwards, in order. A space is written Ġ (U+0120).</summary>
internal static class ByteSymbols
{
    private static readonly char[] Symbols = new char[256];
    private static readonly Dictionary<char, byte> Bytes = [];

    static ByteSymbols()
    {
        var next = 0x100;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            Symbols[value] = (char)(printable ? value : next++);
            Bytes[Symbols[value]] = (byte)value;
        }
    }

    public static char Of(byte value) => Symbols[value];

    /// <summary>The bytes a vocabulary entry stands for: its own UTF-8 when it is not written in byte symbols.</summary>
    public static byte[] BytesOf(string entry) =>
        entry.All(Bytes.ContainsKey) ? [.. entry.Select(symbol => Bytes[symbol])] : Encoding.UTF8.GetBytes(entry);
}
