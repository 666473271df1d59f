namespace HeadScope.Notebooks.Kernel;

/// <summary>Jupyter counts the places of a text in code points, .NET in UTF-16 units; they differ after the first emoji.</summary>
internal static class TextPosition
{
    /// <summary>From code points to UTF-16 units.</summary>
    /// <param name="text">The text.</param>
    /// <param name="codePoints">The place; beyond the end stands for the end.</param>
    public static int ToUnits(string text, int codePoints)
    {
        var at = 0;
        for (var left = codePoints; left > 0 && at < text.Length; left--)
        {
            at += char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;
        }

        return at;
    }

    /// <summary>From UTF-16 units to code points.</summary>
    /// <param name="text">The text.</param>
    /// <param name="units">The place.</param>
    public static int ToCodePoints(string text, int units)
    {
        var count = 0;
        for (var at = 0; at < units && at < text.Length; count++)
        {
            at += char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;
        }

        return count;
    }
}
