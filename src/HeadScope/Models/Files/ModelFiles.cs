namespace HeadScope;

/// <summary>Where the files of a model are on this machine.</summary>
/// <param name="Name">A short name: the hub id, the folder's or the file's name, or <c>demo</c>.</param>
/// <param name="Folder">The folder with config.json, weights and tokenizer; null for a GGUF file.</param>
/// <param name="GgufPath">The GGUF file; null for a folder.</param>
public sealed record ModelFiles(string Name, string? Folder, string? GgufPath)
{
    /// <summary>Finds a model's files, downloading them when they are on the hub and not yet in the cache.</summary>
    /// <param name="nameOrPath">
    /// <c>demo</c> (comes with HeadScope); a folder as Hugging Face publishes them; a <c>.gguf</c> file; or a model on the hub:
    /// <c>gpt2</c>, <c>EleutherAI/pythia-160m</c>, with <c>@revision</c> for a branch, tag or commit, or with the name of a GGUF file after a
    /// '/': <c>organisation/name/file.gguf</c>. What exists as a file or folder is not looked for on the hub.
    /// </param>
    /// <param name="hub">Where the hub and the cache are; null for what the environment says.</param>
    /// <param name="progress">Gets the bytes of a download.</param>
    /// <param name="cancellationToken">Stops a download; what has arrived is kept.</param>
    /// <returns>The files.</returns>
    /// <exception cref="FileNotFoundException">There is no such file, folder or model.</exception>
    /// <inheritdoc cref="HubClient.DownloadAsync" path="/exception"/>
    public static ModelFiles Resolve(
        string nameOrPath,
        HubOptions? hub = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default) =>
        Resolve(nameOrPath, hub, (client, id, revision) => client.DownloadAsync(id, revision, progress, cancellationToken), progress, cancellationToken);

    /// <summary>Finds the files of a model's tokenizer; from the hub, only these are downloaded.</summary>
    /// <param name="nameOrPath">What <see cref="Model.Load"/> takes.</param>
    /// <param name="hub">Where the hub and the cache are; null for what the environment says.</param>
    /// <param name="progress">Gets the bytes of a download.</param>
    /// <param name="cancellationToken">Stops a download; what has arrived is kept.</param>
    /// <returns>The folder, which need not hold anything else; or the GGUF file.</returns>
    internal static ModelFiles ResolveTokenizer(
        string nameOrPath, HubOptions? hub, IProgress<WorkProgress>? progress, CancellationToken cancellationToken) =>
        Resolve(nameOrPath, hub, (client, id, revision) => client.DownloadTokenizerAsync(id, revision, progress, cancellationToken), progress, cancellationToken);

    private static ModelFiles Resolve(
        string nameOrPath,
        HubOptions? hub,
        Func<HubClient, string, string, Task<string>> download,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentException.ThrowIfNullOrWhiteSpace(nameOrPath);
        if (nameOrPath == "demo")
        {
            return new ModelFiles("demo", DemoModel.Folder(), GgufPath: null);
        }

        if (Directory.Exists(nameOrPath))
        {
            return new ModelFiles(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(nameOrPath))), nameOrPath, GgufPath: null);
        }

        if (File.Exists(nameOrPath))
        {
            return IsGguf(nameOrPath)
                ? new ModelFiles(Path.GetFileNameWithoutExtension(nameOrPath), Folder: null, nameOrPath)
                : throw new NotSupportedException(
                    $"'{nameOrPath}' is a file but not a .gguf one; name the folder that holds config.json and the weights.");
        }

        var (id, revision) = nameOrPath.Split('@', 2) is [var before, var after] ? (before, after) : (nameOrPath, "main");
        var parts = id.Split('/');
        var isHubFile = parts.Length > 2 && IsGguf(id) && parts[0] is not ("" or "." or ".." or "~");
        if (!isHubFile && (parts.Length > 2 || parts[0] is "" or "." or ".." or "~" || IsGguf(id) || id.Contains('\\', StringComparison.Ordinal)))
        {
            throw new FileNotFoundException($"There is no file or folder '{nameOrPath}'.", nameOrPath);
        }

        // On the thread pool, so that waiting here cannot block what the download continues on.
        return Task.Run(Download, cancellationToken).GetAwaiter().GetResult();

        async Task<ModelFiles> Download()
        {
            using var client = new HubClient(hub);
            if (!isHubFile)
            {
                return new ModelFiles(id, await download(client, id, revision).ConfigureAwait(false), GgufPath: null);
            }

            var file = string.Join('/', parts[2..]);
            var path = await client.DownloadFileAsync($"{parts[0]}/{parts[1]}", file, revision, progress, cancellationToken).ConfigureAwait(false);
            return new ModelFiles(id, Folder: null, path);
        }
    }

    private static bool IsGguf(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
}
