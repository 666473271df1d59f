namespace HeadScope;

/// <summary>Downloads models from the Hugging Face hub into the cache that the Python tools use: only the files that are needed, each resumed
/// where it stopped, checked against the size and the hash that the hub states, and downloaded once however many processes ask. When the hub
/// cannot be reached, what a revision meant at the last download is used, if it is all there.</summary>
/// <remarks>Errors: <see cref="ArgumentException"/> for an id that cannot be one, <see cref="FileNotFoundException"/> for what is not there,
/// <see cref="UnauthorizedAccessException"/> for gated models, <see cref="NotSupportedException"/> for those without safetensors,
/// <see cref="InvalidDataException"/> for content that is not what the hub promised, <see cref="HttpRequestException"/> where the hub failed
/// too often, <see cref="IOException"/> where the cache cannot be written. What has been downloaded is kept in each case.</remarks>
internal static class HubClient
{
    private const string Config = "config.json", Weights = "model.safetensors", Index = "model.safetensors.index.json";

    /// <summary>The path of one file of a model, whose name has '/' between folders; else the folder with its tokenizer, and with its configuration
    /// and weights unless the tokenizer alone is asked for: once they are there.</summary>
    public static async Task<string> DownloadAsync(
        string id,
        HubOptions options,
        string revision = "main",
        string? file = null,
        bool tokenizerOnly = false,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        RequireInside(revision, "a revision");
        RequireInside(file ?? "any", "a file in a repository");
        bool IsComplete(string folder) =>
            file is not null ? File.Exists(HubRepository.In(folder, file))
            : tokenizerOnly ? Tokenizer.IsIn(folder)
            : HasModel(folder);

        var repository = new HubRepository(options.CacheFolder, id);
        var cached = repository.CommitOf(revision) is { } known && IsComplete(repository.Snapshot(known)) ? known : null;
        if (options.Offline)
        {
            return Found(cached ?? throw new FileNotFoundException(
                $"The model '{id}' at revision '{revision}' is not in the cache '{options.CacheFolder}', and HF_HUB_OFFLINE forbids to download it. "
                + "Unset HF_HUB_OFFLINE, or copy the model's folder there from a machine that has it."));
        }

        using var requests = new HubRequests(options, id, revision, cancellationToken);
        try
        {
            var (commit, names) = await requests.DescribeAsync(retry: cached is null).ConfigureAwait(false);
            var download = new HubDownload(options, requests, repository, commit, progress, cancellationToken);
            string[] files = file is null ? tokenizerOnly ? TokenizerFiles(id, names) : ModelFiles(id, names)
                : names.Contains(file) ? [file] : throw new FileNotFoundException($"The model '{id}' has no file '{file}' at revision '{revision}'.");
            await download.RunAsync(files).ConfigureAwait(false);
            if (files is [.., Index])
            {
                await download.RunAsync(Shards(repository.Snapshot(commit))).ConfigureAwait(false);
            }

            repository.SetCommit(revision, commit);
            return Found(commit);
        }
        catch (PassingFailureException) when (cached is not null)
        {
            return Found(cached);
        }

        string Found(string commit) => file is null ? repository.Snapshot(commit) : HubRepository.In(repository.Snapshot(commit), file);
    }

    private static void RequireInside(string name, string what) => Fault.ArgumentIf(
        name.Split('/').Any(part => part is "" or "." or "..") || name.Contains('\\', StringComparison.Ordinal), $"'{name}' is not the name of {what}.");

    // The configuration, the tokenizer, and one form of the weights.
    private static string[] ModelFiles(string id, IReadOnlySet<string> names)
    {
        var weights = names.Contains(Weights) ? Weights
            : names.Contains(Index) ? Index
            : throw new NotSupportedException($"The model '{id}' has no {Weights}. {WhatInstead(id, names)}");
        return names.Contains(Config)
            ? [Config, .. WordFiles(names), weights]
            : throw new NotSupportedException($"The model '{id}' has no {Config}, without which its weights cannot be read.");
    }

    private static string[] TokenizerFiles(string id, IReadOnlySet<string> names) => Tokenizer.IsAmong(names.Contains)
        ? WordFiles(names)
        : throw new NotSupportedException($"The model '{id}' has neither tokenizer.json nor vocab.json with merges.txt at this revision.");

    private static string[] WordFiles(IReadOnlySet<string> names)
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

    private static string[] Shards(string folder) =>
        [.. SafetensorsFile.ReadIndex(Path.Combine(folder, Index)).Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
}
