using System.Globalization;

namespace HeadScope;

/// <summary>
/// One of several equal parts of the work: part <c>3/16</c> is the third of sixteen. The parts are neighbouring heads in
/// (layer, head) order.
/// </summary>
public readonly record struct Shard
{
    /// <summary>Names a part.</summary>
    /// <param name="index">Which part, counted from 1.</param>
    /// <param name="count">How many parts there are.</param>
    /// <exception cref="ArgumentException">The part is not one of 1 to <paramref name="count"/>.</exception>
    public Shard(int index, int count)
    {
        if (count < 1 || index < 1 || index > count)
        {
            throw new ArgumentException(
                string.Create(CultureInfo.InvariantCulture, $"There is no part {index}/{count}: parts are counted from 1/n to n/n."));
        }

        Index = index;
        Count = count;
    }

    /// <summary>The whole: 1/1.</summary>
    public static Shard Whole => new(1, 1);

    /// <summary>Which part, counted from 1.</summary>
    public int Index { get; }

    /// <summary>How many parts there are.</summary>
    public int Count { get; }

    /// <summary>Reads a part written as <c>3/16</c>.</summary>
    /// <param name="text">The text.</param>
    /// <returns>The part.</returns>
    /// <exception cref="FormatException">The text is not two whole numbers joined by a slash.</exception>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public static Shard Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Split('/') is [var index, var count]
            && int.TryParse(index, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
            && int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
                ? new Shard(i, n)
                : throw new FormatException($"'{text}' is not a part: expected i/n, such as 3/16, the third of sixteen.");
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Index}/{Count}");

    /// <summary>The items of this part of <paramref name="total"/> items.</summary>
    internal (int First, int End) RangeOf(int total) =>
        ((int)((long)(Index - 1) * total / Count), (int)((long)Index * total / Count));
}
