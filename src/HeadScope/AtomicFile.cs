namespace HeadScope;

/// <summary>Writes files so that a reader sees the old file or the whole new one, never a part. A file keeps who may read it, and a link stays one:
/// what it leads to is written.</summary>
internal static class AtomicFile
{
    /// <summary>Writes to a temporary file in the same folder, flushes it to disk, and moves it over <paramref name="path"/>.</summary>
    /// <param name="path">The file to write; its folder is made when missing.</param>
    /// <param name="write">Writes the content. When it throws, <paramref name="path"/> is left as it was.</param>
    /// <exception cref="IOException">The folder or the file cannot be written.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(write);
        var full = Target(path);
        var folder = Path.GetDirectoryName(full)
            ?? throw new IOException($"'{path}' is a folder; expected the path of a file.");
        Directory.CreateDirectory(folder);
        var temporary = Path.Combine(folder, $".{Path.GetFileName(full)}.{Path.GetRandomFileName()}");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                if (!OperatingSystem.IsWindows() && File.Exists(full))
                {
                    File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode(full));
                }

                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, full, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>Makes sure that a file can be written, before work begins whose result it shall take.</summary>
    /// <param name="path">The file; what it holds is left as it is, and its folder is made when missing.</param>
    /// <exception cref="IOException">The folder or the file cannot be written; the message says why.</exception>
    public static void RequireWritable(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var full = Target(path);
        if (Directory.Exists(full) || Path.EndsInDirectorySeparator(full))
        {
            throw new IOException($"'{path}' is a folder; expected the path of a file.");
        }

        var folder = Path.GetDirectoryName(full)!;
        var probe = Path.Combine(folder, $".{Path.GetFileName(full)}.{Path.GetRandomFileName()}");
        try
        {
            Directory.CreateDirectory(folder);
            using var stream = new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"'{path}' cannot be written: its folder '{folder}' cannot be made, or takes no files.", error);
        }
    }

    /// <summary>The full path of what a path leads to: of a link's last target, be it there or not.</summary>
    /// <param name="path">A file, or a link to one.</param>
    public static string Target(string path) =>
        new FileInfo(path) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : Path.GetFullPath(path);

    /// <summary>Writes text as UTF-8 without a byte order mark, whole or not at all.</summary>
    /// <param name="path">The file to write.</param>
    /// <param name="text">Its content.</param>
    /// <exception cref="IOException">The folder or the file cannot be written.</exception>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
}
