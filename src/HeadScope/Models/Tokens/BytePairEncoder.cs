using System.Text;

namespace HeadScope;

/// <summary>
/// Byte-pair encoding of one word: its bytes as tokens, then the pair of neighbours with the lowest rank merged, the leftmost
/// first, until no pair merges (Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2).
/// </summary>
internal sealed class BytePairEncoder
{
    // Up to this length looking through all pairs for the lowest rank is faster than keeping a heap; beyond, it is quadratic.
    private const int LongestScanned = 64;

    private readonly TokenizerDefinition _definition;
    private readonly MergeTable _merges;
    private readonly int[][] _byteTokens = new int[256][];
    private readonly int? _unknown;

    /// <summary>Checks and indexes vocabulary and merges.</summary>
    /// <exception cref="InvalidDataException">The vocabulary lacks what a merge names, or the unknown token where it is needed.</exception>
    public BytePairEncoder(TokenizerDefinition definition)
    {
        _definition = definition;
        _unknown = definition.UnknownToken is { } name && definition.Vocabulary.TryGetValue(name, out var unknown) ? unknown : null;
        _merges = new MergeTable(definition.Merges.Count);
        var vocabulary = definition.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<char> joined = stackalloc char[256];
        for (var rank = 0; rank < definition.Merges.Count; rank++)
        {
            var (left, right) = definition.Merges[rank];
            var length = left.Length + right.Length;
            var result = length <= joined.Length ? joined[..length] : new char[length];
            left.CopyTo(result);
            right.CopyTo(result[left.Length..]);
            if (!vocabulary.TryGetValue(left, out var leftId)
                || !vocabulary.TryGetValue(right, out var rightId)
                || !vocabulary.TryGetValue(result, out var resultId))
            {
                throw new InvalidDataException(
                    $"{definition.Source}: merge {rank} joins '{left}' and '{right}', but the vocabulary lacks one of them or "
                    + $"'{result}'. Vocabulary and merges must come from the same tokenizer.");
            }

            _merges.Set(leftId, rightId, rank, resultId);
        }

        for (var value = 0; value < 256; value++)
        {
            _byteTokens[value] = TokensOfByte((byte)value);
        }
    }

    /// <summary>The tokens of a word; valid until the next call with the same workspace.</summary>
    public ReadOnlySpan<int> Encode(ReadOnlySpan<char> word, Workspace workspace)
    {
        var byteCount = Encoding.UTF8.GetByteCount(word);
        workspace.Reserve(byteCount);
        var bytes = workspace.Bytes.AsSpan(0, byteCount);
        Encoding.UTF8.GetBytes(word, bytes);
        if (_definition.IgnoreMerges)
        {
            var symbols = workspace.Symbols.AsSpan(0, byteCount);
            for (var i = 0; i < byteCount; i++)
            {
                symbols[i] = ByteSymbols.Of(bytes[i]);
            }

            if (_definition.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(symbols, out var whole))
            {
                workspace.Tokens[0] = whole;
                return workspace.Tokens.AsSpan(0, 1);
            }
        }

        var count = 0;
        var unknownBefore = false;
        foreach (var value in bytes)
        {
            var tokens = _byteTokens[value];
            var unknown = tokens.Length == 1 && tokens[0] == _unknown;
            if (unknown && unknownBefore && _definition.FuseUnknown)
            {
                continue;
            }

            unknownBefore = unknown;
            foreach (var token in tokens)
            {
                workspace.Tokens[count++] = token;
            }
        }

        count = count <= LongestScanned ? MergeByScan(workspace.Tokens.AsSpan(0, count)) : MergeByHeap(workspace, count);
        return workspace.Tokens.AsSpan(0, count);
    }

    private int MergeByScan(Span<int> tokens)
    {
        Span<int> ranks = stackalloc int[LongestScanned];
        Span<int> results = stackalloc int[LongestScanned];
        var count = tokens.Length;
        for (var i = 0; i + 1 < count; i++)
        {
            ranks[i] = _merges.Rank(tokens[i], tokens[i + 1], out results[i]);
        }

        while (count > 1)
        {
            var best = 0;
            for (var i = 1; i + 1 < count; i++)
            {
                if (ranks[i] < ranks[best])
                {
                    best = i;
                }
            }

            if (ranks[best] == MergeTable.Never)
            {
                break;
            }

            tokens[best] = results[best];
            count--;
            tokens[(best + 2)..(count + 1)].CopyTo(tokens[(best + 1)..]);
            if (best + 1 < count)
            {
                ranks[(best + 2)..count].CopyTo(ranks[(best + 1)..]);
                results[(best + 2)..count].CopyTo(results[(best + 1)..]);
                ranks[best] = _merges.Rank(tokens[best], tokens[best + 1], out results[best]);
            }

            if (best > 0)
            {
                ranks[best - 1] = _merges.Rank(tokens[best - 1], tokens[best], out results[best - 1]);
            }
        }

        return count;
    }

    /// <summary>The same with a heap of pairs by (rank, position) and a linked list of tokens: n log n.</summary>
    private int MergeByHeap(Workspace workspace, int count)
    {
        var tokens = workspace.Tokens;
        var (before, after) = workspace.Links(count);
        var heap = new PriorityQueue<int, long>(count);
        void Offer(int left)
        {
            if (left >= 0 && after[left] < count && _merges.Rank(tokens[left], tokens[after[left]], out _) is var rank and not MergeTable.Never)
            {
                heap.Enqueue(left, ((long)rank << 32) | (uint)left);
            }
        }

        for (var i = 0; i < count; i++)
        {
            before[i] = i - 1;
            after[i] = i + 1;
        }

        for (var i = 0; i < count; i++)
        {
            Offer(i);
        }

        while (heap.TryDequeue(out var left, out var priority))
        {
            // A pair whose tokens have changed since it was put on the heap has another rank now, or none.
            var right = after[left];
            if (tokens[left] < 0 || right >= count
                || _merges.Rank(tokens[left], tokens[right], out var result) != (int)(priority >> 32))
            {
                continue;
            }

            tokens[left] = result;
            tokens[right] = -1;
            after[left] = after[right];
            if (after[left] < count)
            {
                before[after[left]] = left;
            }

            Offer(before[left]);
            Offer(left);
        }

        var kept = 0;
        for (var i = 0; i < count; i = after[i])
        {
            tokens[kept++] = tokens[i];
        }

        return kept;
    }

    /// <summary>The token of a byte; where the vocabulary lacks it, those of the fallback, the unknown token, or none at all.</summary>
    private int[] TokensOfByte(byte value)
    {
        var symbol = ByteSymbols.Of(value).ToString();
        if (_definition.Vocabulary.TryGetValue(symbol, out var token))
        {
            return [token];
        }

        if (_definition.ByteFallback)
        {
            var names = Encoding.UTF8.GetBytes(symbol).Select(part => $"<0x{part:X2}>").ToArray();
            if (names.All(_definition.Vocabulary.ContainsKey))
            {
                return [.. names.Select(name => _definition.Vocabulary[name])];
            }
        }

        if (_definition.UnknownToken is { } name && _unknown is null)
        {
            throw new InvalidDataException(
                $"{_definition.Source}: the vocabulary lacks byte {value} as well as the unknown token '{name}' that should stand for it.");
        }

        return _unknown is { } unknown ? [unknown] : [];
    }

    /// <summary>Buffers of one encoding at a time.</summary>
    internal sealed class Workspace
    {
        private int[] _before = [];
        private int[] _after = [];

        /// <summary>The bytes of the word.</summary>
        public byte[] Bytes { get; private set; } = [];

        /// <summary>The bytes as written in the vocabulary.</summary>
        public char[] Symbols { get; private set; } = [];

        /// <summary>The tokens of the word.</summary>
        public int[] Tokens { get; private set; } = [];

        /// <summary>Makes room for a word of so many bytes, each of which is at most two fallback tokens.</summary>
        public void Reserve(int byteCount)
        {
            if (Bytes.Length < byteCount || Bytes.Length == 0)
            {
                var size = Math.Max(128, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)byteCount));
                Bytes = new byte[size];
                Symbols = new char[size];
                Tokens = new int[2 * size];
            }
        }

        /// <summary>The linked list over so many tokens.</summary>
        public (int[] Before, int[] After) Links(int count)
        {
            if (_before.Length < count)
            {
                _before = new int[count];
                _after = new int[count];
            }

            return (_before, _after);
        }
    }
}
