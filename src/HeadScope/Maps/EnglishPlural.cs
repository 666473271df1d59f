namespace HeadScope;

/// <summary>Whether one English noun is the plural of another.</summary>
internal static class EnglishPlural
{
    private static readonly Dictionary<string, string> Irregular = new(StringComparer.Ordinal)
    {
        ["man"] = "men",
        ["woman"] = "women",
        ["child"] = "children",
        ["person"] = "people",
        ["foot"] = "feet",
        ["tooth"] = "teeth",
        ["goose"] = "geese",
        ["mouse"] = "mice",
        ["ox"] = "oxen",
        ["analysis"] = "analyses",
        ["crisis"] = "crises",
    };

    /// <summary>Whether <paramref name="plural"/> is the plural of <paramref name="noun"/>; both in lower case.</summary>
    public static bool Is(string noun, string plural)
    {
        if (Irregular.TryGetValue(noun, out var irregular))
        {
            return string.Equals(plural, irregular, StringComparison.Ordinal);
        }

        bool Ends(string end) => noun.EndsWith(end, StringComparison.Ordinal);
        bool IsWith(int cut, string end) => string.Equals(plural, noun[..^cut] + end, StringComparison.Ordinal);
        return noun.Length >= 2 && (
            Ends("s") || Ends("x") || Ends("z") || Ends("ch") || Ends("sh") ? IsWith(0, "es")
            : Ends("y") && !"aeiou".Contains(noun[^2], StringComparison.Ordinal) ? IsWith(1, "ies")
            : IsWith(0, "s") || (Ends("o") && IsWith(0, "es")) || (Ends("f") && IsWith(1, "ves")) || (Ends("fe") && IsWith(2, "ves")));
    }
}
