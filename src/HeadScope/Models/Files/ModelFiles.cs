namespace HeadScope;

/// <summary>Where the files of a model are on this machine.</summary>
/// <param name="Name">A short name: the hub id, the folder's or the file's name, or <c>demo</c>.</param>
/// <param name="Location">The folder with config.json, weights and tokenizer, or with the tokenizer alone; or a GGUF file.</param>
/// <param name="IsGguf">Whether it is the latter.</param>
internal sealed record ModelFiles(string Name, string Location, bool IsGguf)
{
    /// <summary>Finds what <see cref="Model.Load"/> or, for the tokenizer alone, <see cref="Tokenizer.Load"/> is asked for. What exists as a
    /// file or folder is not looked for on the hub; what is on the hub is downloaded unless it is in the cache.</summary>
    public static ModelFiles Resolve(
        string nameOrPath,
        HubOptions? hub = null,
        IProgress<WorkProgress>? progress = null,
        bool tokenizerOnly = false,
        CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(nameOrPath);
        if (nameOrPath == "demo")
        {
            return new("demo", DemoFolder(), IsGguf: false);
        }

        if (Directory.Exists(nameOrPath))
        {
            // A snapshot's own name is a commit.
            return new(HubRepository.IdOf(nameOrPath) ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(nameOrPath))), nameOrPath, IsGguf: false);
        }

        if (File.Exists(nameOrPath))
        {
            return HasGgufName(nameOrPath)
                ? new(Path.GetFileNameWithoutExtension(nameOrPath), nameOrPath, IsGguf: true)
                : throw new NotSupportedException(
                    $"'{nameOrPath}' is a file but not a .gguf one; name the folder that holds config.json and the weights.");
        }

        var (id, revision) = nameOrPath.Split('@', 2) is [var before, var after] ? (before, after) : (nameOrPath, "main");
        var parts = id.Split('/');
        if (parts[0] is "" or "." or ".." or "~" || id.Contains('\\', StringComparison.Ordinal) || HasGgufName(id) != parts.Length > 2)
        {
            throw new FileNotFoundException($"There is no file or folder '{nameOrPath}'.", nameOrPath);
        }

        // On the thread pool, so that waiting here cannot block what the download continues on.
        return Task.Run(Download, cancellationToken).GetAwaiter().GetResult();

        async Task<ModelFiles> Download()
        {
            var file = HasGgufName(id) ? string.Join('/', parts[2..]) : null;
            var repository = file is null ? id : $"{parts[0]}/{parts[1]}";
            return new(id, await HubClient.DownloadAsync(
                repository, hub ?? HubOptions.FromEnvironment(), revision, file, tokenizerOnly, progress, cancellationToken).ConfigureAwait(false), file is not null);
        }
    }

    // The small model that comes with HeadScope lies beside the program, or in the package this assembly was loaded from.
    private static string DemoFolder()
    {
        var assembly = Path.GetDirectoryName(typeof(ModelFiles).Assembly.Location) ?? "";
        string[] places = [.. new[] { AppContext.BaseDirectory, assembly, Path.Combine(assembly, "..", "..") }
            .Select(folder => Path.GetFullPath(Path.Combine(folder, "models", "demo")))];
        return Array.Find(places, Directory.Exists) ?? throw new DirectoryNotFoundException(
            $"The demo model is not here; looked in {string.Join(", ", places.Select(place => $"'{place}'"))}. "
            + "It comes with the HeadScope package: copy its folder 'models' next to the program.");
    }

    private static bool HasGgufName(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
}
