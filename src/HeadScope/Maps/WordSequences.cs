using System.Globalization;

namespace HeadScope;

/// <summary>What comes next: numbers in digits and in words, days, months, letters.</summary>
internal static class WordSequences
{
    private static readonly string[][] Sequences =
    [
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
            "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"],
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"],
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "monday"],
        ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december", "january"],
        [.. Enumerable.Range('a', 26).Select(c => ((char)c).ToString())],
    ];

    private static readonly HashSet<(string, string)> Steps =
        [.. Sequences.SelectMany(s => s.Zip(s.Skip(1), (first, second) => (first, second)))];

    /// <summary>Whether <paramref name="second"/> follows <paramref name="first"/>; both in lower case.</summary>
    public static bool Follows(string first, string second) =>
        Steps.Contains((first, second))
        || (long.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            && long.TryParse(second, NumberStyles.None, CultureInfo.InvariantCulture, out var next)
            && n < long.MaxValue && n + 1 == next);
}
