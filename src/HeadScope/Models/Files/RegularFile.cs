using Microsoft.Win32.SafeHandles;

namespace HeadScope;

/// <summary>A file that is opened once and read by position, by several threads at a time. It is never mapped into memory: under a map, a file
/// that another program cuts short ends the process; here it is an error that says what is missing.</summary>
internal sealed class RegularFile : IDisposable
{
    private readonly SafeFileHandle handle;

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is empty, or a pipe or a device, which would be waited for or never end.</exception>
    public RegularFile(string path)
    {
        // Opening a pipe waits for who writes to it, so its length is asked for before; a link's own length says nothing.
        var full = System.IO.Path.GetFullPath(path);
        var file = new FileInfo(File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"There is no file '{path}'.", path);
        }

        Fault.InvalidDataIf(file.Length == 0, $"'{path}': expected a regular file with something in it, found an empty one, a pipe or a device.");
        Path = path;
        handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        Length = RandomAccess.GetLength(handle);
    }

    public string Path { get; }

    /// <summary>Its length in bytes when it was opened.</summary>
    public long Length { get; }

    /// <summary>Reads a whole file that must be a regular one, such as a configuration.</summary>
    public static byte[] ReadAllBytes(string path)
    {
        using var file = new RegularFile(path);
        Fault.InvalidDataIf(file.Length > Array.MaxLength, $"'{path}' has {file.Length} bytes; expected at most {Array.MaxLength}.");
        var bytes = new byte[file.Length];
        file.Read(0, bytes, "its content");
        return bytes;
    }

    /// <summary>Reads as many bytes as there is room for; what they are goes into the message.</summary>
    /// <exception cref="InvalidDataException">The file has become shorter than it was.</exception>
    public void Read(long offset, Span<byte> destination, string what)
    {
        for (var done = 0; done < destination.Length;)
        {
            var count = RandomAccess.Read(handle, destination[done..], offset + done);
            done += count > 0 ? count : throw new InvalidDataException(
                $"'{Path}', {what}: expected {destination.Length} bytes from byte {offset} on, found {done}. The file had {Length} bytes when it "
                + $"was opened and has {RandomAccess.GetLength(handle)} now; another program cut it. Restore or download it again.");
        }
    }

    /// <summary>Reads the first bytes, up to <paramref name="count"/>.</summary>
    /// <exception cref="InvalidDataException">They are those of a Git LFS pointer.</exception>
    public byte[] ReadStart(int count)
    {
        var start = new byte[Math.Min(Length, 64)];
        Read(0, start, "its start");
        return start.AsSpan().StartsWith("version https://git-lfs"u8)
            ? throw new InvalidDataException($"'{Path}' is a Git LFS pointer, not the weights it stands for; run 'git lfs pull' in its folder.")
            : start[..Math.Min(count, start.Length)];
    }

    public void Dispose() => handle.Dispose();
}
