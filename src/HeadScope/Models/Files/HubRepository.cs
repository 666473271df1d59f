using System.Security.Cryptography;

namespace HeadScope;

/// <summary>One model's folder in the Hugging Face cache, laid out as the Python tools lay it out, so that both find each other's files:
/// <c>blobs/&lt;etag&gt;</c> (the contents), <c>snapshots/&lt;commit&gt;/&lt;file&gt;</c> (links to them), <c>refs/&lt;revision&gt;</c> (a
/// commit).</summary>
internal sealed class HubRepository
{
    private const string Models = "models--";

    private readonly string cacheFolder;
    private readonly string name;

    /// <exception cref="ArgumentException">The id cannot be one of the hub's: <c>org/name</c> or <c>name</c>.</exception>
    public HubRepository(string cacheFolder, string id)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        if (id.Split('/') is not { Length: <= 2 } parts || !parts.All(IsPlainName)
            || id.Contains("--", StringComparison.Ordinal) || id.Contains("..", StringComparison.Ordinal))
        {
            throw new ArgumentException(
                $"'{id}' is neither a file nor a folder here, nor can it be the id of a model on the hub: expected name or organisation/name.", nameof(id));
        }

        (this.cacheFolder, Id, name) = (cacheFolder, id, Models + id.Replace("/", "--", StringComparison.Ordinal));
    }

    public string Id { get; }

    private string Folder => Path.Combine(cacheFolder, name);

    /// <summary>The snapshots in a cache, by name; none when there is no cache.</summary>
    /// <returns>For each its model, the branches and tags that mean it (else its commit), its commit, the bytes of its files, its folder.</returns>
    public static IEnumerable<(string Name, string Revision, string Commit, long Size, string Path)> List(string cacheFolder)
    {
        return
            from model in Folders(cacheFolder, $"{Models}*")
            let references = Path.Combine(model, "refs")
            let revisions = Files(references).ToLookup(
                file => File.ReadAllText(file).Trim(),
                file => Path.GetRelativePath(references, file).Replace(Path.DirectorySeparatorChar, '/'),
                StringComparer.Ordinal)
            from snapshot in Folders(Path.Combine(model, "snapshots"), "*")
            let commit = Path.GetFileName(snapshot)
            let size = Files(snapshot)
                .Select(file => new FileInfo(File.ResolveLinkTarget(file, returnFinalTarget: true)?.FullName ?? file))
                .Where(file => file.Exists)
                .DistinctBy(file => file.FullName, StringComparer.Ordinal)
                .Sum(file => file.Length)
            select (IdOf(snapshot)!, string.Join(", ", revisions[commit].DefaultIfEmpty(commit).Order(StringComparer.Ordinal)), commit, size, snapshot);

        static IEnumerable<string> Folders(string folder, string pattern) =>
            Directory.Exists(folder) ? Directory.GetDirectories(folder, pattern).Order(StringComparer.Ordinal) : [];

        static string[] Files(string folder) => Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [];
    }

    /// <summary>The id of the model whose snapshot a folder of the cache is; null for another folder.</summary>
    public static string? IdOf(string folder)
    {
        var snapshots = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return Path.GetFileName(snapshots) == "snapshots" && Path.GetFileName(Path.GetDirectoryName(snapshots)) is { } model && model.StartsWith(Models, StringComparison.Ordinal)
            ? model[Models.Length..].Replace("--", "/", StringComparison.Ordinal)
            : null;
    }

    /// <summary>Whether a revision is a full commit, which never changes its content.</summary>
    public static bool IsCommit(string revision) => revision.Length == 40 && revision.All(char.IsAsciiHexDigitLower);

    /// <summary>Whether a name is of letters, digits, '.', '_' and '-' and begins with a letter or digit: safe as the name of a file.</summary>
    public static bool IsPlainName(string name) =>
        name.Length is > 0 and <= 128
        && char.IsAsciiLetterOrDigit(name[0])
        && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-');

    public static string In(string folder, string file) => Path.Combine([folder, .. file.Split('/')]);

    public string Snapshot(string commit) => Path.Combine(Folder, "snapshots", commit);

    public string Blob(string etag) => Path.Combine(Folder, "blobs", etag);

    /// <summary>The commit that a revision meant when it was last downloaded; null when it never was.</summary>
    public string? CommitOf(string revision) =>
        IsCommit(revision) ? revision
        : File.Exists(Reference(revision)) && File.ReadAllText(Reference(revision)).Trim() is var commit && IsCommit(commit) ? commit
        : null;

    public void SetCommit(string revision, string commit)
    {
        if (!IsCommit(revision) && CommitOf(revision) != commit)
        {
            AtomicFile.WriteText(Reference(revision), commit);
        }
    }

    /// <summary>Puts a blob into a snapshot: as a relative link, or as a file where links are impossible.</summary>
    public void Link(string commit, string file, string etag)
    {
        var path = In(Snapshot(commit), file);
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder);
        if (File.Exists(path))
        {
            return;
        }

        try
        {
            File.Delete(path); // a link whose blob is gone
            File.CreateSymbolicLink(path, Path.GetRelativePath(folder, Blob(etag)));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException && !File.Exists(path))
        {
            // Windows without developer mode, or a file system without links. The copy is made aside, so that no reader sees a part of it.
            var aside = $"{path}.{Path.GetRandomFileName()}";
            File.Copy(Blob(etag), aside);
            File.Move(aside, path, overwrite: true);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another process was faster.
        }
    }

    /// <summary>Waits until no other process downloads the same blob, saying so meanwhile; the result, when disposed, lets others go on. The lock
    /// file and its kind are those of the Python tools.</summary>
    public async Task<FileStream> LockAsync(string etag, Action waiting, CancellationToken cancellationToken)
    {
        var path = Path.Combine(cacheFolder, ".locks", name, etag + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        while (true)
        {
            try
            {
                // On Unix, FileShare.None is an flock, as in Python's filelock.
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException error) when (IsHeldByAnother(error))
            {
                waiting();
                await Task.Delay(200, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Whether a file is what its etag says: the SHA-256 of the content for large files, git's SHA-1 of "blob", length and content for
    /// small ones. Etags of another form say nothing and pass.</summary>
    public static bool Matches(string path, string etag)
    {
        if (etag.Length is not (40 or 64))
        {
            return true;
        }

        using var stream = File.OpenRead(path);
        using var hash = IncrementalHash.CreateHash(etag.Length == 64 ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (etag.Length == 40)
        {
            hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {stream.Length}\0")));
        }

        var buffer = new byte[1 << 18];
        while (stream.Read(buffer) is var read and > 0)
        {
            hash.AppendData(buffer, 0, read);
        }

        return Convert.ToHexString(hash.GetHashAndReset()).Equals(etag, StringComparison.OrdinalIgnoreCase);
    }

    private string Reference(string revision) => In(Path.Combine(Folder, "refs"), revision);

    // EWOULDBLOCK of Linux and of BSD; ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
    private static bool IsHeldByAnother(IOException error) =>
        OperatingSystem.IsWindows() ? (error.HResult & 0xFFFF) is 32 or 33 : error.HResult is 11 or 35;
}
