using System.Diagnostics;
using System.Globalization;
using System.Net;

namespace HeadScope;

/// <summary>One download of files of one commit into the cache.</summary>
internal sealed class HubDownload(
    HubOptions options,
    HubTransport transport,
    HubRepository repository,
    string commit,
    IProgress<WorkProgress>? progress,
    CancellationToken cancellationToken)
{
    private readonly Stopwatch sinceReport = Stopwatch.StartNew();
    private long done;
    private long total;

    /// <summary>The model.</summary>
    public string Id => repository.Id;

    /// <summary>Where the commit's files are.</summary>
    public string Folder => repository.Snapshot(commit);

    /// <summary>Downloads files that are not there yet.</summary>
    /// <param name="names">Their names in the repository.</param>
    public async Task RunAsync(IReadOnlyList<string> names)
    {
        var files = new List<RemoteFile>();
        foreach (var name in names.Where(name => !File.Exists(Path.Combine([Folder, .. name.Split('/')]))))
        {
            files.Add(await transport.RetryAsync(() => DescribeAsync(name), () => false, cancellationToken).ConfigureAwait(false));
        }

        done = 0;
        total = files.Sum(file => file.Size);
        CheckSpace(files);
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
        var address = Address(name);
        using var response = await transport.SendAsync(
            HttpMethod.Head, address, 0, answer => answer.Headers.Contains("X-Linked-Etag"), cancellationToken).ConfigureAwait(false);
        transport.Check(response, Id, commit, name);

        string? Header(string header) => response.Headers.TryGetValues(header, out var values) ? values.First() : null;
        var etag = (Header("X-Linked-Etag") ?? Header("ETag"))?.Replace("W/", string.Empty, StringComparison.Ordinal).Trim('"');
        if (etag is null || !HubRepository.IsPlainName(etag))
        {
            throw new InvalidDataException($"{address}: expected an ETag of letters and digits, found '{etag}'. Check HF_ENDPOINT.");
        }

        var stated = Header("X-Linked-Size") ?? response.Content.Headers.ContentLength?.ToString(CultureInfo.InvariantCulture);
        return long.TryParse(stated, NumberStyles.None, CultureInfo.InvariantCulture, out var size)
            ? new RemoteFile(name, etag, size)
            : throw new InvalidDataException($"{address}: expected the file's size as X-Linked-Size or Content-Length, found '{stated}'.");
    }

    /// <summary>Makes sure that a blob is there, whole and right.</summary>
    private async Task FetchAsync(RemoteFile file)
    {
        var blob = repository.Blob(file.Etag);
        var partial = blob + ".incomplete";
        Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
        using var mutex = await repository.LockAsync(
            file.Etag, () => Report(file, force: false, "waiting for another process that downloads it"), cancellationToken).ConfigureAwait(false);
        if (File.Exists(blob))
        {
            return;
        }

        var resumed = File.Exists(partial);
        var before = done;
        while (true)
        {
            await FetchPartsAsync(file, partial, before).ConfigureAwait(false);
            Report(file, force: true, "checking");
            var length = new FileInfo(partial).Length;
            if (length == file.Size && HubRepository.Matches(partial, file.Etag))
            {
                File.Move(partial, blob, overwrite: true);
                return;
            }

            File.Delete(partial);
            if (!resumed)
            {
                throw new InvalidDataException(
                    $"'{file.Name}' of '{Id}' is not what the hub promised: expected {file.Size} bytes with the hash {file.Etag}, "
                    + $"found {length} bytes{(length == file.Size ? " with another hash" : string.Empty)}. It was deleted; try again, and if it stays wrong check HF_ENDPOINT.");
            }

            resumed = false; // What was left over from before may have been damaged: once more from the start.
        }
    }

    /// <summary>Requests what is missing until the file has its size, as often as connections break.</summary>
    private async Task FetchPartsAsync(RemoteFile file, string partial, long before)
    {
        long Length() => File.Exists(partial) ? new FileInfo(partial).Length : 0;
        var furthest = Length();
        bool CameFurther()
        {
            var length = Length();
            var further = length > furthest;
            furthest = Math.Max(furthest, length);
            return further;
        }

        await transport.RetryAsync(() => FetchPartAsync(file, partial, before), CameFurther, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Requests what is missing once; returns the length reached.</summary>
    private async Task<long> FetchPartAsync(RemoteFile file, string partial, long before)
    {
        await using var stream = new FileStream(partial, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, 1 << 16);
        if (stream.Length > file.Size)
        {
            stream.SetLength(0);
        }

        if (stream.Length == file.Size)
        {
            return file.Size;
        }

        using var response = await transport.SendAsync(HttpMethod.Get, Address(file.Name), stream.Length, enough: null, cancellationToken).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            stream.SetLength(0);
            throw new PassingFailureException($"The server cannot resume '{file.Name}'", response.StatusCode, TimeSpan.Zero);
        }

        transport.Check(response, Id, commit, file.Name);
        var from = response.StatusCode == HttpStatusCode.PartialContent ? response.Content.Headers.ContentRange?.From ?? 0 : 0;
        if (from > stream.Length)
        {
            throw new PassingFailureException($"The server skips a part of '{file.Name}'", response.StatusCode, TimeSpan.Zero);
        }

        // A server that does not resume sends the whole again.
        stream.SetLength(from);
        stream.Position = from;
        await CopyAsync(response, stream, file, before).ConfigureAwait(false);
        return stream.Length >= file.Size
            ? stream.Length
            : throw Broken(file, stream.Length);
    }

    private async Task CopyAsync(HttpResponseMessage response, FileStream stream, RemoteFile file, long before)
    {
        using var watch = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var buffer = new byte[1 << 18];
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(watch.Token).ConfigureAwait(false);
            while (stream.Position <= file.Size) // one byte too many is enough to know that it is another file
            {
                watch.CancelAfter(options.Patience);
                var read = await ReadAsync(body).ConfigureAwait(false);
                if (read == 0)
                {
                    break;
                }

                await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                done = before + stream.Position;
                Report(file, force: false);
            }

            await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (IOException error) when (IsDiskFull(error))
        {
            throw new IOException(
                $"The disk of the cache '{options.CacheFolder}' is full: '{file.Name}' of '{Id}' takes {Show(file.Size)}. Free space, or set HF_HOME to a "
                + "folder on another disk. What has been downloaded is kept.", error);
        }

        async Task<int> ReadAsync(Stream body)
        {
            try
            {
                return await body.ReadAsync(buffer, watch.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or HttpRequestException or OperationCanceledException
                && !cancellationToken.IsCancellationRequested)
            {
                await stream.FlushAsync(CancellationToken.None).ConfigureAwait(false);
                throw Broken(file, stream.Position, error);
            }
        }
    }

    private static PassingFailureException Broken(RemoteFile file, long at, Exception? inner = null) =>
        new($"The connection broke at byte {at} of {file.Size} of '{file.Name}'", null, TimeSpan.Zero, inner);

    private void CheckSpace(List<RemoteFile> files)
    {
        var needed = files.Where(file => !File.Exists(repository.Blob(file.Etag))).Sum(file =>
        {
            var partial = new FileInfo(repository.Blob(file.Etag) + ".incomplete");
            return Math.Max(0, file.Size - (partial.Exists ? partial.Length : 0));
        });
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
                $"The model '{Id}' needs {Show(needed)} more in the cache '{options.CacheFolder}', whose disk has {Show(free)} left. Free space, or set "
                + "HF_HOME to a folder on another disk.");
        }
    }

    private void Report(RemoteFile file, bool force, string? detail = null)
    {
        if (progress is not null && (force || sinceReport.ElapsedMilliseconds >= 100))
        {
            sinceReport.Restart();
            progress.Report(new WorkProgress($"downloading {Id}", done, total, "bytes", detail is null ? file.Name : $"{file.Name}: {detail}"));
        }
    }

    private Uri Address(string name) =>
        transport.Address($"{Id}/resolve/{commit}/{string.Join('/', name.Split('/').Select(Uri.EscapeDataString))}");

    // ENOSPC and EDQUOT; ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL.
    private static bool IsDiskFull(IOException error) =>
        OperatingSystem.IsWindows() ? (error.HResult & 0xFFFF) is 39 or 112 : error.HResult is 28 or 69 or 122;

    private static string Show(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.###} GB");

    private sealed record RemoteFile(string Name, string Etag, long Size);
}
