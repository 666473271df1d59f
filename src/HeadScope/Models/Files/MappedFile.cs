using System.IO.MemoryMappedFiles;

namespace HeadScope;

/// <summary>A file mapped into memory for reading: its pages are loaded when touched and belong to the system's cache.</summary>
internal sealed class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? file;
    private readonly MemoryMappedViewAccessor? view;

    /// <summary>Maps the whole file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="PlatformNotSupportedException">The processor is big-endian; the files here are little-endian.</exception>
    public MappedFile(string path)
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("Weight files are little-endian and are read without swapping bytes; this processor is big-endian.");
        }

        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no file '{path}'.", path);
        }

        Path = path;
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        Length = stream.Length;
        if (Length == 0)
        {
            stream.Dispose(); // An empty file cannot be mapped.
            return;
        }

        try
        {
            file = MemoryMappedFile.CreateFromFile(
                stream, mapName: null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        }
        catch
        {
            file?.Dispose();
            stream.Dispose();
            throw;
        }
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Its length in bytes.</summary>
    public long Length { get; }

    /// <summary>Gives access to a range of bytes until the lease is disposed; the mapping outlives it even when the file is disposed.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="count">How many; the caller has checked that they are in the file.</param>
    public Lease Borrow(long offset, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - count);
        return view is null ? default : new Lease(view, offset, count);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        view?.Dispose();
        file?.Dispose();
    }

    /// <summary>Bytes of the file, readable until disposed.</summary>
    public readonly unsafe ref struct Lease
    {
        private readonly MemoryMappedViewAccessor? view;

        internal Lease(MemoryMappedViewAccessor view, long offset, int count)
        {
            byte* pointer = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            this.view = view;
            Bytes = new ReadOnlySpan<byte>(pointer + view.PointerOffset + offset, count);
        }

        /// <summary>The bytes.</summary>
        public ReadOnlySpan<byte> Bytes { get; }

        /// <summary>Ends the access.</summary>
        public void Dispose() => view?.SafeMemoryMappedViewHandle.ReleasePointer();
    }
}
