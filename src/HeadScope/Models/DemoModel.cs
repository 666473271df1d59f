namespace HeadScope;

/// <summary>The small model that ships with HeadScope, so that everything can be tried without a download.</summary>
internal static class DemoModel
{
    /// <summary>The folder of its files: beside the program, or in the package this assembly was loaded from.</summary>
    /// <exception cref="DirectoryNotFoundException">It is in neither place.</exception>
    public static string Folder()
    {
        var assembly = Path.GetDirectoryName(typeof(DemoModel).Assembly.Location) ?? "";
        string[] places =
        [
            Path.Combine(AppContext.BaseDirectory, "models", "demo"),
            Path.Combine(assembly, "models", "demo"),
            Path.GetFullPath(Path.Combine(assembly, "..", "..", "models", "demo")),
        ];
        return Array.Find(places, Directory.Exists) ?? throw new DirectoryNotFoundException(
            $"The demo model is not here; looked in {string.Join(", ", places.Select(place => $"'{place}'"))}. "
            + "It comes with the HeadScope package: copy its folder 'models' next to the program.");
    }
}
