using System.Reflection;

namespace HeadScope.Notebooks.Session;

/// <summary>What the program that hosts sessions adds to them, as the extension of a package would: how values are shown.</summary>
/// <param name="Assembly">The assembly whose public namespaces every cell imports.</param>
/// <param name="Register">Registers its formatters; called by each new session.</param>
internal sealed record SessionExtension(Assembly Assembly, Action Register);
