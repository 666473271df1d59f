namespace HeadScope;

/// <summary>Downloads models from the Hugging Face hub into the cache that the Python tools use: only the files that are needed, each resumed
/// where it stopped, checked against the size and the hash that the hub states, and downloaded once however many processes ask. When the hub
/// cannot be reached, what a revision meant at the last download is used, if it is all there.</summary>
/// <remarks>Errors: <see cref="ArgumentException"/> for an id that cannot be one, <see cref="FileNotFoundException"/> for what is not there,
/// <see cref="UnauthorizedAccessException"/> for gated models, <see cref="NotSupportedException"/> for those without safetensors,
/// <see cref="InvalidDataException"/> for content that is not what the hub promised, <see cref="HttpRequestException"/> where the hub failed
/// too often, <see cref="IOException"/> where the cache cannot be written. What has been downloaded is kept in each case.</remarks>
internal sealed class HubClient(HubOptions? options = null) : IDisposable
{
    private const string Config = "config.json", Weights = "model.safetensors", Index = "model.safetensors.index.json";

    private readonly HubOptions options = options ?? HubOptions.FromEnvironment();
    private readonly HubRequests requests = new(options ?? HubOptions.FromEnvironment());

    /// <summary>The folder with a model's configuration, tokenizer and weights, once they are there.</summary>
    public async Task<string> DownloadAsync(
        string id, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default) =>
        await FetchAsync(id, revision, HasModel, names => ModelFiles(id, names), progress, cancellationToken).ConfigureAwait(false);

    /// <summary>The folder with a model's tokenizer, once it is there; the weights are not asked for.</summary>
    public async Task<string> DownloadTokenizerAsync(
        string id, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default) =>
        await FetchAsync(
            id,
            revision,
            folder => HasTokenizer(name => File.Exists(Path.Combine(folder, name))),
            names => HasTokenizer(names.Contains) ? TokenizerFiles(names) : throw new NotSupportedException(
                $"The model '{id}' has neither tokenizer.json nor vocab.json with merges.txt at revision '{revision}'."),
            progress,
            cancellationToken).ConfigureAwait(false);

    /// <summary>The path of one file of a model, such as a GGUF file, once it is there; its name has '/' between folders.</summary>
    public async Task<string> DownloadFileAsync(
        string id, string file, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        RequireInside(file, "a file in a repository", nameof(file));
        var folder = await FetchAsync(
            id,
            revision,
            folder => File.Exists(HubRepository.In(folder, file)),
            names => names.Contains(file)
                ? [file]
                : throw new FileNotFoundException($"The model '{id}' has no file '{file}' at revision '{revision}'."),
            progress,
            cancellationToken).ConfigureAwait(false);
        return HubRepository.In(folder, file);
    }

    public void Dispose() => requests.Dispose();

    // Downloads what is selected of a revision unless it is there; gives its folder.
    private async Task<string> FetchAsync(
        string id,
        string revision,
        Func<string, bool> isComplete,
        Func<IReadOnlySet<string>, IReadOnlyList<string>> select,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        RequireInside(revision, "a revision", nameof(revision));
        var repository = new HubRepository(options.CacheFolder, id);
        var cached = repository.CommitOf(revision) is { } known && isComplete(repository.Snapshot(known)) ? known : null;
        if (options.Offline)
        {
            return repository.Snapshot(cached ?? throw new FileNotFoundException(
                $"The model '{id}' at revision '{revision}' is not in the cache '{options.CacheFolder}', and HF_HUB_OFFLINE forbids to download it. "
                + "Unset HF_HUB_OFFLINE, or copy the model's folder there from a machine that has it."));
        }

        (string Commit, HashSet<string> Files) there;
        try
        {
            there = await requests.DescribeAsync(id, revision, retry: cached is null, cancellationToken).ConfigureAwait(false);
        }
        catch (PassingFailureException) when (cached is not null)
        {
            return repository.Snapshot(cached);
        }

        var folder = repository.Snapshot(there.Commit);
        var download = new HubDownload(options, requests, repository, there.Commit, progress, cancellationToken);
        var files = select(there.Files);
        await download.RunAsync(files).ConfigureAwait(false);
        if (files is [.., Index])
        {
            await download.RunAsync(Shards(folder)).ConfigureAwait(false);
        }

        repository.SetCommit(revision, there.Commit);
        return folder;
    }

    private static void RequireInside(string name, string what, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        if (name.Split('/').Any(part => part is "" or "." or "..") || name.Contains('\\', StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{name}' is not the name of {what}.", parameter);
        }
    }

    // The configuration, the tokenizer, and one form of the weights.
    private static string[] ModelFiles(string id, IReadOnlySet<string> names)
    {
        var weights = names.Contains(Weights) ? Weights
            : names.Contains(Index) ? Index
            : throw new NotSupportedException($"The model '{id}' has no {Weights}. {WhatInstead(id, names)}");
        return names.Contains(Config)
            ? [Config, .. TokenizerFiles(names), weights]
            : throw new NotSupportedException($"The model '{id}' has no {Config}, without which its weights cannot be read.");
    }

    private static string[] TokenizerFiles(IReadOnlySet<string> names)
    {
        string[] tokenizer = names.Contains("tokenizer.json") ? ["tokenizer.json"] : ["vocab.json", "merges.txt"];
        string[] files = ["tokenizer_config.json", "special_tokens_map.json", .. tokenizer];
        return [.. files.Where(names.Contains)];
    }

    private static string WhatInstead(string id, IReadOnlySet<string> names)
    {
        var gguf = names.Where(name => name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).ToArray();
        return gguf.Length > 0
            ? $"It has GGUF files; name one: {string.Join(", ", gguf.Take(5).Select(name => $"{id}/{name}"))}{(gguf.Length > 5 ? ", …" : "")}."
            : names.Any(name => name.EndsWith(".bin", StringComparison.Ordinal) || name.EndsWith(".pt", StringComparison.Ordinal))
            ? "It has PyTorch .bin weights only, which are programs as much as data. Convert them: load the model with Python's transformers and save "
                + "it with save_pretrained(folder, safe_serialization=True), then load that folder; or look for a revision with safetensors (refs/pr/…)."
            : "It has no weights that can be read.";
    }

    private static bool HasModel(string folder)
    {
        bool Has(string name) => File.Exists(Path.Combine(folder, name));
        return Has(Config) && (Has(Weights) || (Has(Index) && Array.TrueForAll(Shards(folder), Has)));
    }

    private static bool HasTokenizer(Func<string, bool> has) => has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));

    private static string[] Shards(string folder) =>
        [.. SafetensorsFile.ReadIndex(Path.Combine(folder, Index)).Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
}
