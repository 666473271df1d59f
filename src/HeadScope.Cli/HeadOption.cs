using System.CommandLine;

namespace HeadScope.Cli;

/// <summary>The option <c>--head</c>, the same for every verb.</summary>
internal static class HeadOption
{
    /// <summary>Makes the option.</summary>
    /// <param name="description">What the heads are for.</param>
    /// <returns>The option; it may be given several times.</returns>
    public static Option<string[]> Create(string description) => new("--head")
    {
        Description = $"{description} Written layer.head, both counted from 0; the option may be given several times.",
        HelpName = "3.5",
    };

    /// <summary>Reads the heads that are named.</summary>
    /// <param name="names">What the option holds.</param>
    /// <returns>The heads.</returns>
    /// <exception cref="UsageException">One is not written as a head is.</exception>
    public static Head[] Parse(string[] names) =>
        [.. names.Select(name => Head.TryParse(name, out var head)
            ? head
            : throw new UsageException($"--head {name}: expected layer.head, such as 3.5."))];
}
