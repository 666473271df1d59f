using System.Diagnostics;
using System.Net;

namespace HeadScope;

/// <summary>One download of files of one commit into the cache.</summary>
internal sealed class HubDownload(
    HubOptions options, HubRequests requests, HubRepository repository, string commit, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
{
    private readonly Stopwatch sinceReport = Stopwatch.StartNew();
    private long done;
    private long total;

    public async Task RunAsync(IReadOnlyList<string> names)
    {
        var files = new List<RemoteFile>();
        foreach (var name in names.Where(name => !File.Exists(HubRepository.In(repository.Snapshot(commit), name))))
        {
            files.Add(await requests.RetryAsync(() => DescribeAsync(name), () => false).ConfigureAwait(false));
        }

        (done, total) = (0, files.Sum(file => file.Size));
        RequireSpace(files);
        foreach (var file in files)
        {
            Report(file, force: true);
            var end = done + file.Size;
            await FetchAsync(file).ConfigureAwait(false);
            repository.Link(commit, file.Name, file.Etag);
            done = end;
            Report(file, force: true);
        }
    }

    private async Task<RemoteFile> DescribeAsync(string name)
    {
        using var response = await requests.SendAsync(HttpMethod.Head, commit, name).ConfigureAwait(false);
        string? Header(string header) => response.Headers.TryGetValues(header, out var values) ? values.First() : null;
        var etag = (Header("X-Linked-Etag") ?? Header("ETag"))?.Replace("W/", "", StringComparison.Ordinal).Trim('"');
        Fault.InvalidDataIf(etag is null || !HubRepository.IsPlainName(etag),
            $"{options.Endpoint}, {name}: expected an ETag of letters and digits, found '{etag}'. Check HF_ENDPOINT.");
        var stated = Header("X-Linked-Size") ?? response.Content.Headers.ContentLength?.ToString(CultureInfo.InvariantCulture);
        return long.TryParse(stated, NumberStyles.None, CultureInfo.InvariantCulture, out var size)
            ? new RemoteFile(name, etag, size)
            : throw new InvalidDataException($"{options.Endpoint}, {name}: expected the file's size as X-Linked-Size or Content-Length, found '{stated}'.");
    }

    // Makes sure that a blob is there, whole and right.
    private async Task FetchAsync(RemoteFile file)
    {
        var blob = repository.Blob(file.Etag);
        var partial = Partial(file);
        Directory.CreateDirectory(Path.GetDirectoryName(partial)!);
        using var mutex = await repository.LockAsync(
            file.Etag, () => Report(file, force: false, "waiting for another process that downloads it"), cancellationToken).ConfigureAwait(false);
        var before = done;

        // What was left over from before may have been damaged: then once more from the start.
        for (var resumed = Length(partial) > 0; !File.Exists(blob); resumed = false)
        {
            var furthest = Length(partial);
            await requests.RetryAsync(() => FetchPartAsync(file, partial, before), CameFurther).ConfigureAwait(false);
            Report(file, force: true, "checking");
            var length = Length(partial);
            if (length == file.Size && HubRepository.Matches(partial, file.Etag))
            {
                File.Move(partial, blob, overwrite: true);
                return;
            }

            File.Delete(partial);
            Fault.InvalidDataIf(!resumed,
                $"'{file.Name}' of '{repository.Id}' is not what the hub promised: expected {file.Size} bytes with the hash {file.Etag}, "
                + $"found {length} bytes{(length == file.Size ? " with another hash" : "")}. It was deleted; try again, and if it stays wrong check HF_ENDPOINT.");
            bool CameFurther() => furthest < (furthest = Math.Max(furthest, Length(partial)));
        }
    }

    // Requests once what is missing; gives the length reached.
    private async Task<long> FetchPartAsync(RemoteFile file, string partial, long before)
    {
        await using var stream = new FileStream(partial, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, 1 << 16);
        if (stream.Length == file.Size)
        {
            return file.Size;
        }

        using var response = await requests.SendAsync(HttpMethod.Get, commit, file.Name, stream.Length < file.Size ? stream.Length : 0).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            stream.SetLength(0);
            throw new PassingFailureException($"The server cannot resume '{file.Name}'");
        }

        // A server that does not resume sends the whole again.
        var from = response.StatusCode == HttpStatusCode.PartialContent ? response.Content.Headers.ContentRange?.From ?? 0 : 0;
        stream.SetLength(from <= stream.Length ? from : throw new PassingFailureException($"The server skips a part of '{file.Name}'"));
        stream.Position = from;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var buffer = new byte[1 << 18];
        Exception? failure = null;
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        while (stream.Position <= file.Size) // one byte too many is enough to know that it is another file
        {
            var read = 0;
            try
            {
                patience.CancelAfter(options.Patience);
                read = await body.ReadAsync(buffer, patience.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
            {
                failure = error;
            }

            if (read == 0)
            {
                break;
            }

            await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
            done = before + stream.Position;
            Report(file, force: false);
        }

        return stream.Length >= file.Size ? stream.Length : throw new PassingFailureException(
            $"The connection broke at byte {stream.Position} of {file.Size} of '{file.Name}'", inner: failure);
    }

    private void RequireSpace(List<RemoteFile> files)
    {
        var needed = files.Where(file => !File.Exists(repository.Blob(file.Etag))).Sum(file => Math.Max(0, file.Size - Length(Partial(file))));
        long free;
        try
        {
            Directory.CreateDirectory(options.CacheFolder);
            free = new DriveInfo(Path.GetFullPath(options.CacheFolder)).AvailableFreeSpace;
        }
        catch (Exception error) when (error is ArgumentException or DriveNotFoundException)
        {
            return; // A network share on Windows, say: the download itself will tell.
        }

        if (needed > free)
        {
            throw new IOException(
                $"The model '{repository.Id}' needs {Show(needed)} more in the cache '{options.CacheFolder}', whose disk has {Show(free)} left. Free space, "
                + "or set HF_HOME to a folder on another disk.");
        }
    }

    private void Report(RemoteFile file, bool force, string? detail = null)
    {
        if (progress is not null && (force || sinceReport.ElapsedMilliseconds >= 100))
        {
            sinceReport.Restart();
            progress.Report(new WorkProgress($"downloading {repository.Id}", done, total, "bytes", detail is null ? file.Name : $"{file.Name}: {detail}"));
        }
    }

    private string Partial(RemoteFile file) => repository.Blob(file.Etag) + ".incomplete";

    private static long Length(string path) => new FileInfo(path) is { Exists: true, Length: var length } ? length : 0;

    private static string Show(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.###} GB");

    private sealed record RemoteFile(string Name, string Etag, long Size);
}
