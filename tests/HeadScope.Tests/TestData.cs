namespace HeadScope.Tests;

/// <summary>Finds the reference data and the real models; tests that need them skip where they are absent.</summary>
public static class TestData
{
    /// <summary>The repository's own folder.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>A file or folder below the reference data; skips the test when the data is absent, and fails it when it is looked for in vain.</summary>
    public static string Shared(params string[] parts)
    {
        var root = Find(Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA"), Path.Combine(Repository, "..", "shared"));
        Assert.SkipWhen(
            root is null,
            "The reference data is not here: set HEADSCOPE_TEST_DATA to its folder, or put it in ../shared next to the repository.");
        return Path.Combine([root!, .. parts]);
    }

    /// <summary>The same for lists of cases, which are made before any test runs: null when the data is absent.</summary>
    public static string? SharedOrNull(params string[] parts) =>
        Find(Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA"), Path.Combine(Repository, "..", "shared")) is { } root
            ? Path.Combine([root, .. parts])
            : null;

    /// <summary>The folder of the reference data: the named one, or the usual one if it is there.</summary>
    /// <exception cref="DirectoryNotFoundException">A folder is named and holds no reference data.</exception>
    internal static string? Find(string? named, string usual)
    {
        if (string.IsNullOrEmpty(named))
        {
            return Directory.Exists(Path.Combine(usual, "reference")) ? Path.GetFullPath(usual) : null;
        }

        return Directory.Exists(Path.Combine(named, "reference"))
            ? Path.GetFullPath(named)
            : throw new DirectoryNotFoundException(
                $"HEADSCOPE_TEST_DATA is '{named}', which holds no folder 'reference'. Name the folder of the reference data, or unset it to skip its tests.");
    }

    private static string FindRepository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Notebooks.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName
            ?? throw new InvalidOperationException($"Notebooks.sln was not found above {AppContext.BaseDirectory}.");
    }
}
