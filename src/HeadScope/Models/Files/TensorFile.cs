using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// A file, or several that belong together, of named tensors. Opening reads the directory of tensors only; numbers are read when asked
/// for, by position, straight into a tensor's memory. Safe to read from several threads.
/// </summary>
public abstract class TensorFile : IDisposable
{
    /// <summary>Numbers that one thread reads or decodes at once: small enough that decoding finds what was read in its cache.</summary>
    private const int ChunkLength = 1 << 18;

    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Place> places = new(StringComparer.Ordinal);
    private readonly List<RegularFile> files = [];

    private protected TensorFile(string path) => Path = path;

    /// <summary>The file, or the folder where there are several; for error messages.</summary>
    public string Path { get; }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <summary>Reads a whole tensor.</summary>
    /// <param name="name">The tensor.</param>
    /// <returns>
    /// A new tensor in the shape that the file states, on the CPU, contiguous: fp64, fp32, fp16, bf16, integers and truth values as they are
    /// stored (unsigned ones of 16 and 32 bits as the next wider signed ones), blocks of quantised numbers decoded to fp32.
    /// </returns>
    /// <exception cref="InvalidDataException">There is no such tensor, or the file was cut since it was opened.</exception>
    /// <exception cref="NotSupportedException">The tensor is stored in a way that cannot be read.</exception>
    /// <exception cref="InvalidOperationException">There is no memory for it.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public Tensor Read(string name)
    {
        var info = Find(name);
        return Read(info, 0, info.Length, info.Shape);
    }

    /// <summary>Reads neighbouring rows of a tensor (its first axis), and nothing else of it.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="first">The first row, counted from 0.</param>
    /// <param name="count">How many.</param>
    /// <returns>A new tensor as <see cref="Read(string)"/> gives it, [count, …].</returns>
    /// <exception cref="ArgumentOutOfRangeException">The rows are not all inside the tensor, or it is a scalar.</exception>
    /// <inheritdoc cref="Read(string)" path="/exception"/>
    public Tensor ReadRows(string name, long first, long count)
    {
        var info = Find(name);
        var rows = info.Shape is [var length, ..] ? length : 0;
        if (first < 0 || count < 0 || first > rows - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(first), first, $"Tensor '{name}' has {rows} rows; {count} from {first} on are not all inside it.");
        }

        var width = rows == 0 ? 0 : info.Length / rows;
        return Read(info, first * width, count * width, [count, .. info.Shape.Skip(1)]);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        foreach (var file in files)
        {
            file.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Opens a file that is closed with this one.</summary>
    private protected RegularFile OpenFile(string path)
    {
        var file = new RegularFile(path);
        files.Add(file);
        return file;
    }

    /// <summary>The bytes that a tensor takes.</summary>
    /// <exception cref="InvalidDataException">They cannot be counted in 64 bits, also where a length of 0 would hide it.</exception>
    private protected static long ByteCount(string where, long[] shape, NumberFormat format)
    {
        Int128 bytes = format.BlockSize;
        foreach (var length in shape)
        {
            bytes *= Math.Max(1, length);
            if (length < 0 || bytes > long.MaxValue)
            {
                throw new InvalidDataException(
                    $"{where}: the lengths [{string.Join(", ", shape)}] are negative, or take more than 2^63 bytes. The file is damaged.");
            }
        }

        return shape.Contains(0) ? 0 : (long)bytes / format.BlockLength;
    }

    /// <summary>Makes the tensors of a file readable once they are known to lie in it, each in its own bytes.</summary>
    /// <param name="file">The file.</param>
    /// <param name="dataStart">Where its data begins; the entries count from there.</param>
    /// <param name="entries">The tensors; afterwards in the order of their bytes.</param>
    /// <param name="wanted">Which of them are meant; null for all.</param>
    /// <exception cref="InvalidDataException">A name is there twice, or tensors overlap or go beyond the file's end.</exception>
    private protected void PlaceTensors(RegularFile file, long dataStart, List<Entry> entries, HashSet<string>? wanted = null)
    {
        entries.Sort((a, b) => (a.Begin, a.End).CompareTo((b.Begin, b.End)));
        var available = Math.Max(0, file.Length - dataStart);
        var names = new HashSet<string>(StringComparer.Ordinal);
        var previous = default(Entry);
        foreach (var entry in entries)
        {
            var name = entry.Info.Name;
            if (entry.End > available)
            {
                throw new InvalidDataException(
                    $"'{file.Path}', tensor '{name}' takes the bytes {entry.Begin} to {entry.End} of the data, which has {available}. The file is "
                    + "cut; download it again.");
            }

            if (entry.Begin < previous?.End)
            {
                throw new InvalidDataException(
                    $"'{file.Path}', tensor '{name}' begins at byte {entry.Begin} of the data and overlaps tensor '{previous.Info.Name}', which ends "
                    + $"at {previous.End}.");
            }

            if (!names.Add(name))
            {
                throw new InvalidDataException($"'{file.Path}' has two tensors named '{name}'.");
            }

            if (wanted?.Contains(name) != false)
            {
                tensors.Add(name, entry.Info);
                places.Add(name, new Place(file, entry.Format, dataStart + (long)entry.Begin));
            }

            previous = entry;
        }
    }

    private TensorInfo Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return tensors.TryGetValue(name, out var info)
            ? info
            : throw new InvalidDataException($"'{Path}' has no tensor '{name}' among its {tensors.Count}.");
    }

    private unsafe Tensor Read(TensorInfo info, long start, long count, IReadOnlyList<long> shape)
    {
        var (file, format, offset) = places[info.Name];
        var what = $"tensor '{info.Name}'";
        if (format.Type is not { } type)
        {
            throw new NotSupportedException(
                $"'{file.Path}', {what} is stored as {format.Name}, for which TorchSharp has no type; what can be read is {NumberFormat.Names}.");
        }

        using var scope = NewDisposeScope();
        if (start % format.BlockLength != 0 || count % format.BlockLength != 0)
        {
            // Numbers of a tensor without rows: the blocks that they lie in, and of these a part.
            var first = start / format.BlockLength * format.BlockLength;
            var length = (start + count - first + format.BlockLength - 1) / format.BlockLength * format.BlockLength;
            return Read(info, first, length, [length]).narrow(0, start - first, count).clone().view([.. shape]).MoveToOuterDisposeScope();
        }

        var tensor = Empty(file, info, type, shape);
        if (count > 0)
        {
            var memory = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.view(-1).narrow(0, 0, 1).bytes));
            var size = tensor.ElementSize;
            Parallelism.For(checked((int)((count + ChunkLength - 1) / ChunkLength)), chunk =>
            {
                var from = (long)chunk * ChunkLength;
                var length = (int)Math.Min(ChunkLength, count - from);
                var destination = new Span<byte>(memory + (from * size), (int)(length * size));
                var bytes = length / format.BlockLength * format.BlockSize;
                var position = offset + ((start + from) / format.BlockLength * format.BlockSize);
                if (format.Decode is null)
                {
                    file.Read(position, destination, what);
                    return;
                }

                var buffer = ArrayPool<byte>.Shared.Rent(bytes);
                try
                {
                    file.Read(position, buffer.AsSpan(0, bytes), what);
                    format.Decode(buffer.AsSpan(0, bytes), destination);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            });
        }

        return tensor.MoveToOuterDisposeScope();
    }

    private static Tensor Empty(RegularFile file, TensorInfo info, ScalarType type, IReadOnlyList<long> shape)
    {
        try
        {
            return empty([.. shape], type, CPU);
        }
        catch (ExternalException error)
        {
            throw new InvalidOperationException(
                $"'{file.Path}', tensor '{info.Name}': there is no memory for [{string.Join(", ", shape)}] numbers of {type}.", error);
        }
    }

    /// <summary>A tensor in the directory of a file.</summary>
    private protected sealed record Entry(TensorInfo Info, NumberFormat Format, Int128 Begin, Int128 End);

    private sealed record Place(RegularFile File, NumberFormat Format, long Offset);
}
