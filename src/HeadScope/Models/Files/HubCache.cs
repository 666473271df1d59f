namespace HeadScope;

/// <summary>The models that have been downloaded, by HeadScope or by the Python tools.</summary>
public static class HubCache
{
    /// <summary>Lists the snapshots in the cache.</summary>
    /// <param name="folder">The cache; null for the one that the environment names.</param>
    /// <returns>One entry for each model and commit, by name; empty when there is no cache.</returns>
    public static IReadOnlyList<CachedModel> List(string? folder = null)
    {
        folder ??= HubOptions.FromEnvironment().CacheFolder;
        if (!Directory.Exists(folder))
        {
            return [];
        }

        return
        [
            .. Directory.GetDirectories(folder, "models--*").Order(StringComparer.Ordinal).SelectMany(Snapshots),
        ];
    }

    private static IEnumerable<CachedModel> Snapshots(string model)
    {
        var snapshots = Path.Combine(model, "snapshots");
        if (!Directory.Exists(snapshots))
        {
            yield break;
        }

        var name = Path.GetFileName(model)["models--".Length..].Replace("--", "/", StringComparison.Ordinal);
        var references = References(Path.Combine(model, "refs"));
        foreach (var snapshot in Directory.GetDirectories(snapshots).Order(StringComparer.Ordinal))
        {
            var commit = Path.GetFileName(snapshot);
            var revisions = references[commit].Order(StringComparer.Ordinal).ToArray();
            var size = Directory.EnumerateFiles(snapshot, "*", SearchOption.AllDirectories)
                .Select(file => new FileInfo(file).ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? new FileInfo(file))
                .Where(file => file.Exists)
                .DistinctBy(file => file.FullName, StringComparer.Ordinal)
                .Sum(file => file.Length);
            yield return new CachedModel(name, revisions is [] ? commit : string.Join(", ", revisions), commit, size, snapshot);
        }
    }

    private static ILookup<string, string> References(string folder) =>
        (Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [])
        .ToLookup(
            file => File.ReadAllText(file).Trim(),
            file => Path.GetRelativePath(folder, file).Replace(Path.DirectorySeparatorChar, '/'),
            StringComparer.Ordinal);
}

/// <summary>One snapshot in the cache.</summary>
/// <param name="Name">The model's id, such as <c>EleutherAI/pythia-160m</c>.</param>
/// <param name="Revision">The branches and tags that mean this commit, joined by commas; the commit where there are none.</param>
/// <param name="Commit">The commit.</param>
/// <param name="Size">The bytes of its files.</param>
/// <param name="Path">Its folder.</param>
public sealed record CachedModel(string Name, string Revision, string Commit, long Size, string Path);
