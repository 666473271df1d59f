namespace HeadScope;

/// <summary>
/// What two neighbouring tokens merge into and how early; a hash table with open addressing, because the look-up is the inner
/// loop of encoding.
/// </summary>
internal sealed class MergeTable
{
    /// <summary>The rank of a pair that does not merge: later than all.</summary>
    public const int Never = int.MaxValue;

    private readonly Slot[] _slots;
    private readonly int _shift;

    /// <summary>Room for a number of merges.</summary>
    public MergeTable(int capacity)
    {
        var bits = Math.Max(4, System.Numerics.BitOperations.Log2((uint)Math.Max(1, capacity)) + 2);
        _slots = new Slot[1 << bits];
        _shift = 64 - bits;
        Array.Fill(_slots, new Slot(ulong.MaxValue, Never, -1));
    }

    /// <summary>States that a pair merges; a pair that is stated twice has the later rank.</summary>
    public void Set(int left, int right, int rank, int result) => _slots[Index(Key(left, right))] = new(Key(left, right), rank, result);

    /// <summary>The rank of a pair, <see cref="Never"/> when it does not merge, and the token it becomes.</summary>
    public int Rank(int left, int right, out int result)
    {
        ref readonly var slot = ref _slots[Index(Key(left, right))];
        result = slot.Result;
        return slot.Rank;
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    /// <summary>The slot that holds the key, or the free one where it would be.</summary>
    private int Index(ulong key)
    {
        var index = (int)((key * 0x9E3779B97F4A7C15) >> _shift);
        while (_slots[index].Key != key && _slots[index].Key != ulong.MaxValue)
        {
            index = (index + 1) & (_slots.Length - 1);
        }

        return index;
    }

    private readonly record struct Slot(ulong Key, int Rank, int Result);
}
