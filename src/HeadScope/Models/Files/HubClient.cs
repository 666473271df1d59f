using System.Text.Json;

namespace HeadScope;

/// <summary>
/// Downloads models from the Hugging Face hub into the cache that the Python tools use: only the files that are needed, each resumed
/// where it stopped, checked against the size and the hash that the hub states, and downloaded once however many processes ask.
/// </summary>
public sealed class HubClient : IDisposable
{
    private readonly HubOptions options;
    private readonly HubTransport transport;

    /// <summary>A client; dispose it to close its connections.</summary>
    /// <param name="options">Where from and where to; null for what the environment says.</param>
    public HubClient(HubOptions? options = null)
    {
        this.options = options ?? HubOptions.FromEnvironment();
        transport = new HubTransport(this.options);
    }

    /// <summary>Makes sure that the files of a model are in the cache.</summary>
    /// <param name="id">The model, such as <c>gpt2</c> or <c>EleutherAI/pythia-160m</c>.</param>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <param name="progress">Gets the bytes so far.</param>
    /// <param name="cancellationToken">Stops it; what has been downloaded is kept and used next time.</param>
    /// <returns>The folder with config.json, the tokenizer and the weights.</returns>
    /// <remarks>
    /// When the hub cannot be reached, what the revision meant at the last download is used, if it is all there.
    /// </remarks>
    /// <exception cref="ArgumentException">The id cannot be one of the hub's.</exception>
    /// <exception cref="FileNotFoundException">There is no such model or revision, or it is not in the cache and may not be downloaded.</exception>
    /// <exception cref="UnauthorizedAccessException">The model is gated or private.</exception>
    /// <exception cref="NotSupportedException">The model has no safetensors weights.</exception>
    /// <exception cref="InvalidDataException">What was downloaded is not what the hub promised.</exception>
    /// <exception cref="HttpRequestException">The hub failed too often.</exception>
    /// <exception cref="IOException">The cache cannot be written, or the disk is full.</exception>
    public async Task<string> DownloadAsync(
        string id, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        var commit = await FetchAsync(
            id, revision, (repository, snapshot) => IsComplete(repository.Snapshot(snapshot)), SelectFilesAsync, progress, cancellationToken).ConfigureAwait(false);
        return new HubRepository(options.CacheFolder, id).Snapshot(commit);
    }

    /// <summary>Makes sure that the tokenizer of a model is in the cache; the weights are not asked for.</summary>
    /// <param name="id">The model.</param>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <param name="progress">Gets the bytes so far.</param>
    /// <param name="cancellationToken">Stops it; what has been downloaded is kept and used next time.</param>
    /// <returns>The folder with the tokenizer's files.</returns>
    /// <inheritdoc cref="DownloadAsync" path="/exception"/>
    public async Task<string> DownloadTokenizerAsync(
        string id, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var commit = await FetchAsync(
            id,
            revision,
            (repository, snapshot) => HasTokenizer(name => File.Exists(Path.Combine(repository.Snapshot(snapshot), name))),
            (_, names) => HasTokenizer(names.Contains)
                ? Task.FromResult<IReadOnlyList<string>>([.. TokenizerFiles(names)])
                : throw new NotSupportedException($"The model '{id}' has neither tokenizer.json nor vocab.json with merges.txt at revision '{revision}'."),
            progress,
            cancellationToken).ConfigureAwait(false);
        return new HubRepository(options.CacheFolder, id).Snapshot(commit);
    }

    /// <summary>Makes sure that one file of a model, such as a GGUF file, is in the cache.</summary>
    /// <param name="id">The model.</param>
    /// <param name="file">The file's name in its repository, with '/' between folders.</param>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <param name="progress">Gets the bytes so far.</param>
    /// <param name="cancellationToken">Stops it; what has been downloaded is kept and used next time.</param>
    /// <returns>The file's path.</returns>
    /// <inheritdoc cref="DownloadAsync" path="/exception"/>
    public async Task<string> DownloadFileAsync(
        string id, string file, string revision = "main", IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentException.ThrowIfNullOrEmpty(file);
        if (file.Split('/').Any(part => part is "" or "." or "..") || file.Contains('\\', StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{file}' is not the name of a file in a repository.", nameof(file));
        }

        string PathIn(HubRepository repository, string snapshot) => Path.Combine([repository.Snapshot(snapshot), .. file.Split('/')]);
        var commit = await FetchAsync(
            id,
            revision,
            (repository, snapshot) => File.Exists(PathIn(repository, snapshot)),
            (download, names) => names.Contains(file)
                ? Task.FromResult<IReadOnlyList<string>>([file])
                : throw new FileNotFoundException($"The model '{id}' has no file '{file}' at revision '{revision}'."),
            progress,
            cancellationToken).ConfigureAwait(false);
        return PathIn(new HubRepository(options.CacheFolder, id), commit);
    }

    /// <inheritdoc/>
    public void Dispose() => transport.Dispose();

    /// <summary>Downloads selected files of a revision unless they are there; returns the commit.</summary>
    private async Task<string> FetchAsync(
        string id,
        string revision,
        Func<HubRepository, string, bool> isComplete,
        Func<HubDownload, IReadOnlySet<string>, Task<IReadOnlyList<string>>> select,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        ArgumentException.ThrowIfNullOrEmpty(revision);
        if (revision.Split('/').Any(part => part is "" or "." or "..") || revision.Contains('\\', StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{revision}' is not the name of a revision.", nameof(revision));
        }

        var repository = new HubRepository(options.CacheFolder, id);
        var cached = repository.CommitOf(revision) is { } known && isComplete(repository, known) ? known : null;
        if (options.Offline)
        {
            return cached ?? throw new FileNotFoundException(
                $"The model '{id}' at revision '{revision}' is not in the cache '{options.CacheFolder}', and HF_HUB_OFFLINE forbids to download it. "
                + "Unset HF_HUB_OFFLINE, or copy the model's folder there from a machine that has it.");
        }

        var present = await DescribeAsync(repository, revision, cached, cancellationToken).ConfigureAwait(false);
        if (present is not var (commit, names))
        {
            return cached!;
        }

        var download = new HubDownload(options, transport, repository, commit, progress, cancellationToken);
        await download.RunAsync(await select(download, names).ConfigureAwait(false)).ConfigureAwait(false);
        repository.SetCommit(revision, commit);
        return commit;
    }

    /// <summary>Asks the hub what a revision is; null when the hub cannot be reached but the cache can stand in.</summary>
    private async Task<(string Commit, IReadOnlySet<string> Files)?> DescribeAsync(
        HubRepository repository, string revision, string? cached, CancellationToken cancellationToken)
    {
        var address = transport.Address($"api/models/{repository.Id}/revision/{Uri.EscapeDataString(revision)}");
        async Task<byte[]> Ask()
        {
            using var response = await transport.SendAsync(HttpMethod.Get, address, 0, enough: null, cancellationToken).ConfigureAwait(false);
            transport.Check(response, repository.Id, revision, file: null);
            try
            {
                return await response.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (error is HttpRequestException or IOException)
            {
                throw new PassingFailureException($"The connection to {options.Endpoint} broke", null, TimeSpan.Zero, error);
            }
        }

        byte[] json;
        try
        {
            json = cached is null ? await transport.RetryAsync(Ask, () => false, cancellationToken).ConfigureAwait(false) : await Ask().ConfigureAwait(false);
        }
        catch (PassingFailureException) when (cached is not null)
        {
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(json);
            var commit = document.RootElement.GetProperty("sha").GetString();
            var names = document.RootElement.GetProperty("siblings").EnumerateArray()
                .Select(sibling => sibling.GetProperty("rfilename").GetString()!).ToHashSet(StringComparer.Ordinal);
            return commit is not null && HubRepository.IsCommit(commit)
                ? (commit, names)
                : throw new InvalidDataException($"{address} names no commit; expected 40 hexadecimal digits as 'sha', found '{commit}'.");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new InvalidDataException(
                $"{address} does not answer as the Hugging Face hub does: expected JSON with 'sha' and 'siblings'. Check HF_ENDPOINT. {error.Message}", error);
        }
    }

    /// <summary>The files of a model that are needed: the configuration, the tokenizer, and one form of the weights.</summary>
    private static async Task<IReadOnlyList<string>> SelectFilesAsync(HubDownload download, IReadOnlySet<string> names)
    {
        const string Index = "model.safetensors.index.json";
        List<string> files = [.. names.Where(name => name == "config.json"), .. TokenizerFiles(names)];
        if (names.Contains("model.safetensors"))
        {
            files.Add("model.safetensors");
        }
        else if (names.Contains(Index))
        {
            await download.RunAsync([Index]).ConfigureAwait(false);
            var shards = SafetensorsFile.ReadIndex(Path.Combine(download.Folder, Index)).Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
            files.AddRange([Index, .. shards]);
        }
        else
        {
            throw new NotSupportedException($"The model '{download.Id}' has no model.safetensors. {WhatInstead(download.Id, names)}");
        }

        return names.Contains("config.json")
            ? files
            : throw new NotSupportedException($"The model '{download.Id}' has no config.json, without which its weights cannot be read.");
    }

    private static IEnumerable<string> TokenizerFiles(IReadOnlySet<string> names)
    {
        string[] tokenizer = names.Contains("tokenizer.json") ? ["tokenizer.json"] : ["vocab.json", "merges.txt"];
        string[] files = ["tokenizer_config.json", "special_tokens_map.json", .. tokenizer];
        return files.Where(names.Contains);
    }

    private static bool HasTokenizer(Func<string, bool> has) => has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));

    private static string WhatInstead(string id, IReadOnlySet<string> names)
    {
        var gguf = names.Where(name => name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).ToArray();
        if (gguf.Length > 0)
        {
            return $"It has GGUF files; name one: {string.Join(", ", gguf.Take(5).Select(name => $"{id}/{name}"))}{(gguf.Length > 5 ? ", …" : string.Empty)}.";
        }

        return names.Any(name => name.EndsWith(".bin", StringComparison.Ordinal) || name.EndsWith(".pt", StringComparison.Ordinal))
            ? "It has PyTorch .bin weights only, which are programs as much as data. Convert them: load the model with Python's transformers and save "
                + "it with save_pretrained(folder, safe_serialization=True), then load that folder; or look for a revision with safetensors (refs/pr/…)."
            : "It has no weights that can be read.";
    }

    /// <summary>Whether a snapshot has all that a model needs: configuration and every file of its weights.</summary>
    private static bool IsComplete(string folder)
    {
        bool Has(string name) => File.Exists(Path.Combine(folder, name));
        if (!Has("config.json"))
        {
            return false;
        }

        return Has("model.safetensors")
            || (Has("model.safetensors.index.json")
                && SafetensorsFile.ReadIndex(Path.Combine(folder, "model.safetensors.index.json")).Values.Distinct(StringComparer.Ordinal).All(Has));
    }
}
