namespace HeadScope;

/// <summary>An attention head of a model, named as the papers name it: head 5 of layer 3 is <c>3.5</c>.</summary>
/// <param name="Layer">The layer (block), counted from 0.</param>
/// <param name="Index">The head within its layer, counted from 0. For grouped-query models this is the query head.</param>
public readonly record struct Head(int Layer, int Index) : IComparable<Head>
{
    /// <summary>Reads a head written as <c>layer.head</c>, such as <c>3.5</c>.</summary>
    /// <param name="text">The text to read.</param>
    /// <returns>The head.</returns>
    /// <exception cref="FormatException"><paramref name="text"/> is not two whole numbers joined by a dot.</exception>
    public static Head Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParse(text, out var head)
            ? head
            : throw new FormatException($"'{text}' is not a head: expected layer.head, such as 3.5.");
    }

    /// <summary>Reads a head written as <c>layer.head</c>; says whether it could.</summary>
    /// <param name="text">The text to read.</param>
    /// <param name="head">The head, when the text is one.</param>
    /// <returns>Whether the text is a head.</returns>
    public static bool TryParse(string? text, out Head head)
    {
        var (layer, index) = (0, 0);
        var isHead = text?.Split('.') is [var first, var second]
            && int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out layer)
            && int.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out index);
        head = isHead ? new(layer, index) : default;
        return isHead;
    }

    /// <inheritdoc/>
    public int CompareTo(Head other) => (Layer, Index).CompareTo((other.Layer, other.Index));

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Layer}.{Index}");
}
