using Microsoft.DotNet.Interactive.Formatting;

namespace HeadScope.Notebooks.Session;

/// <summary>Values that are best shown as plain text, where the formatting package would make a page of HTML of each.</summary>
internal static class DisplayDefaults
{
    private static readonly Type[] Plain =
    [
        typeof(bool), typeof(char), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long),
        typeof(ulong), typeof(float), typeof(double), typeof(decimal), typeof(Half), typeof(string), typeof(Guid), typeof(Head),
        typeof(DateTime), typeof(DateTimeOffset), typeof(TimeSpan), typeof(Enum), typeof(Version),
    ];

    private static int registered;

    public static void Register()
    {
        if (Interlocked.Exchange(ref registered, 1) == 1)
        {
            return;
        }

        foreach (var type in Plain)
        {
            Formatter.SetPreferredMimeTypesFor(type, "text/plain");
        }

        Formatter.Register<Head>(head => head.ToString(), "text/plain");
    }
}
