using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace HeadScope;

/// <summary>
/// One model's folder in the Hugging Face cache, laid out as the Python tools lay it out, so that both find each other's files:
/// <c>blobs/&lt;etag&gt;</c> (the contents), <c>snapshots/&lt;commit&gt;/&lt;file&gt;</c> (links to them), <c>refs/&lt;revision&gt;</c> (a commit).
/// </summary>
internal sealed class HubRepository
{
    private readonly string cacheFolder;

    /// <summary>The folder of a model; it need not exist.</summary>
    /// <param name="cacheFolder">The cache.</param>
    /// <param name="id">The model, as <c>org/name</c> or <c>name</c>.</param>
    /// <exception cref="ArgumentException">The id cannot be one of the hub's.</exception>
    public HubRepository(string cacheFolder, string id)
    {
        if (!IsId(id))
        {
            throw new ArgumentException(
                $"'{id}' is neither a file nor a folder here, nor can it be the id of a model on the hub: expected name or organisation/name.", nameof(id));
        }

        this.cacheFolder = cacheFolder;
        Id = id;
        Folder = Path.Combine(cacheFolder, FolderName);
    }

    /// <summary>The model's id.</summary>
    public string Id { get; }

    /// <summary>Its folder.</summary>
    public string Folder { get; }

    private string FolderName => "models--" + Id.Replace("/", "--", StringComparison.Ordinal);

    /// <summary>Whether a revision is a full commit, which never changes its content.</summary>
    public static bool IsCommit(string revision) => revision.Length == 40 && revision.All(char.IsAsciiHexDigitLower);

    /// <summary>Whether a name is of letters, digits, '.', '_' and '-' and begins with a letter or digit: safe as the name of a file.</summary>
    public static bool IsPlainName(string name) =>
        name.Length is > 0 and <= 128
        && char.IsAsciiLetterOrDigit(name[0])
        && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '_' or '-');

    /// <summary>The folder of a commit's files.</summary>
    public string Snapshot(string commit) => Path.Combine(Folder, "snapshots", commit);

    /// <summary>Where the content with an etag is.</summary>
    public string Blob(string etag) => Path.Combine(Folder, "blobs", etag);

    /// <summary>The commit that a revision meant when it was last downloaded; null when it never was.</summary>
    public string? CommitOf(string revision)
    {
        if (IsCommit(revision))
        {
            return revision;
        }

        var file = Reference(revision);
        return File.Exists(file) && File.ReadAllText(file).Trim() is var commit && IsCommit(commit) ? commit : null;
    }

    /// <summary>Notes the commit that a revision means.</summary>
    public void SetCommit(string revision, string commit)
    {
        if (!IsCommit(revision) && CommitOf(revision) != commit)
        {
            AtomicFile.WriteText(Reference(revision), commit);
        }
    }

    /// <summary>Puts a blob into a snapshot: as a relative link, or as a file where links are impossible.</summary>
    /// <param name="commit">The snapshot.</param>
    /// <param name="file">The file's name in the repository, with '/' between folders.</param>
    /// <param name="etag">The blob.</param>
    public void Link(string commit, string file, string etag)
    {
        var path = Path.Combine([Snapshot(commit), .. file.Split('/')]);
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

    /// <summary>
    /// Waits until no other process downloads the same blob. The lock file and its kind are those of the Python tools.
    /// </summary>
    /// <param name="etag">The blob.</param>
    /// <param name="waiting">Called when another holds the lock.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <returns>The lock; dispose it to release it.</returns>
    public async Task<FileStream> LockAsync(string etag, Action waiting, CancellationToken cancellationToken)
    {
        var path = Path.Combine(cacheFolder, ".locks", FolderName, etag + ".lock");
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

    /// <summary>
    /// Whether a file is what its etag says: the SHA-256 of the content for large files, git's SHA-1 of "blob", length and content for
    /// small ones. Etags of another form say nothing and pass.
    /// </summary>
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

    private string Reference(string revision) => Path.Combine([Folder, "refs", .. revision.Split('/')]);

    // EWOULDBLOCK of Linux and of BSD; ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
    private static bool IsHeldByAnother(IOException error) =>
        OperatingSystem.IsWindows() ? (error.HResult & 0xFFFF) is 32 or 33 : error.HResult is 11 or 35;

    private static bool IsId(string id) =>
        id.Split('/') is { Length: <= 2 } parts
        && parts.All(IsPlainName)
        && !id.Contains("--", StringComparison.Ordinal)
        && !id.Contains("..", StringComparison.Ordinal);
}
