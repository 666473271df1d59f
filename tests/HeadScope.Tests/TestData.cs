namespace HeadScope.Tests;

/// <summary>Finds the reference data and the real models; tests that need them skip where they are absent.</summary>
public static class TestData
{
    private static readonly string? Root = FindRoot();

    /// <summary>The repository's own folder.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>A file or folder below the reference data; skips the test when the data is absent.</summary>
    public static string Shared(params string[] parts)
    {
        Assert.SkipWhen(
            Root is null,
            "The reference data is not here: set HEADSCOPE_TEST_DATA to its folder, or put it in ../shared next to the repository.");
        return Path.Combine([Root!, .. parts]);
    }

    private static string? FindRoot()
    {
        var folder = Environment.GetEnvironmentVariable("HEADSCOPE_TEST_DATA");
        if (string.IsNullOrEmpty(folder))
        {
            folder = Path.Combine(FindRepository(), "..", "shared");
        }

        return Directory.Exists(Path.Combine(folder, "reference")) ? Path.GetFullPath(folder) : null;
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
