using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>A file, or several that belong together, of named tensors. Opening reads the directory of tensors only; numbers are read when asked
/// for, by position, straight into a tensor's memory. Safe to read from several threads.</summary>
internal abstract class TensorFile(string path) : IDisposable
{
    /// <summary>Numbers that one thread reads or decodes at once: small enough that decoding finds what was read in its cache.</summary>
    private const int ChunkLength = 1 << 18;

    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);
    private readonly List<RegularFile> files = [];

    /// <summary>The file, or the folder where there are several; for error messages.</summary>
    public string Path => path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <summary>Reads a whole tensor.</summary>
    /// <returns>A new tensor in the shape that the file states, on the CPU, contiguous: fp64, fp32, fp16, bf16, integers and truth values as they
    /// are stored (unsigned ones of 16 and 32 bits as the next wider signed ones), blocks of quantised numbers decoded to fp32.</returns>
    /// <exception cref="InvalidDataException">There is no such tensor, or the file was cut since it was opened.</exception>
    /// <exception cref="NotSupportedException">The tensor is stored in a way that cannot be read.</exception>
    /// <exception cref="InvalidOperationException">There is no memory for it.</exception>
    public Tensor Read(string name)
    {
        var info = Find(name);
        return Read(info, 0, info.Length, info.Shape);
    }

    /// <summary>Reads neighbouring rows of a tensor (its first axis), and nothing else of it, as <see cref="Read(string)"/> does.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The rows are not all inside the tensor, or it is a scalar.</exception>
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

    public void Dispose() => files.ForEach(file => file.Dispose());

    /// <summary>A file whose directory has been read, or none left open.</summary>
    protected static T Opened<T>(T file, Action<T> readDirectory)
        where T : TensorFile
    {
        try
        {
            readDirectory(file);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens a file that is closed with this one.</summary>
    protected RegularFile OpenFile(string path)
    {
        files.Add(new(path));
        return files[^1];
    }

    /// <summary>Makes the tensors of a file, or the wanted ones, readable once they are known to lie in it, each in its own bytes, which count
    /// from where the data begins; in dense files they fill the data.</summary>
    /// <exception cref="InvalidDataException">A name is there twice, or tensors overlap or go beyond the file's end.</exception>
    protected void PlaceTensors(RegularFile file, long dataStart, IEnumerable<TensorInfo> entries, bool isDense, HashSet<string>? wanted = null)
    {
        var available = Math.Max(0, file.Length - dataStart);
        var names = new HashSet<string>(StringComparer.Ordinal);
        var (end, previous) = (0L, "");
        foreach (var entry in entries.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Bytes))
        {
            var (name, begin) = (entry.Name, entry.Offset);
            Fault.InvalidDataIf(begin > available || entry.Bytes > available - begin,
                $"{entry.Where} takes the bytes {begin} to {(Int128)begin + entry.Bytes} of the data, which has {available}. The file is cut; "
                + $"download it again.");
            Fault.InvalidDataIf(begin < end,
                $"{entry.Where} begins at byte {begin} of the data and overlaps tensor '{previous}', which ends at {end}.");
            Fault.InvalidDataIf(isDense && begin != end,
                $"{entry.Where}: its data begins at byte {begin}, expected {end}; there is a gap before it.");
            Fault.InvalidDataIf(!names.Add(name), $"'{file.Path}' has two tensors named '{name}'.");
            if (wanted?.Contains(name) != false)
            {
                tensors.Add(name, entry with { Offset = dataStart + begin });
            }

            (end, previous) = (begin + entry.Bytes, name);
        }

        Fault.InvalidDataIf(isDense && end != available,
            $"'{file.Path}': the tensors end at byte {end} after the header, but {available} bytes follow it.");
    }

    private TensorInfo Find(string name) => tensors.TryGetValue(name, out var info)
        ? info
        : throw new InvalidDataException($"'{Path}' has no tensor '{name}' among its {tensors.Count}.");

    private static unsafe Tensor Read(TensorInfo info, long start, long count, IReadOnlyList<long> shape)
    {
        var format = info.Format;
        var type = format.Type ?? throw new NotSupportedException(
            $"{info.Where} is stored as {format.Name}, for which TorchSharp has no type; what can be read is {NumberFormat.Names}.");
        using var scope = NewDisposeScope();
        if (start % format.BlockLength != 0 || count % format.BlockLength != 0)
        {
            // Numbers of a tensor without rows, which begin or end inside of a block.
            return Read(info, 0, info.Length, [info.Length]).narrow(0, start, count).clone().view([.. shape]).MoveToOuterDisposeScope();
        }

        var tensor = Empty(info, type, shape);
        if (count == 0)
        {
            return tensor.MoveToOuterDisposeScope();
        }

        var memory = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.view(-1).narrow(0, 0, 1).bytes));
        var size = tensor.ElementSize;
        var what = $"tensor '{info.Name}'";
        Parallelism.For(checked((int)((count + ChunkLength - 1) / ChunkLength)), chunk =>
        {
            var from = (long)chunk * ChunkLength;
            var length = (int)Math.Min(ChunkLength, count - from);
            var destination = new Span<byte>(memory + (from * size), (int)(length * size));
            var position = info.Offset + ((start + from) / format.BlockLength * format.BlockSize);
            if (format.Decode is null)
            {
                info.File.Read(position, destination, what);
                return;
            }

            var bytes = length / format.BlockLength * format.BlockSize;
            var buffer = ArrayPool<byte>.Shared.Rent(bytes);
            try
            {
                info.File.Read(position, buffer.AsSpan(0, bytes), what);
                format.Decode(buffer.AsSpan(0, bytes), destination);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        });
        return tensor.MoveToOuterDisposeScope();
    }

    private static Tensor Empty(TensorInfo info, ScalarType type, IReadOnlyList<long> shape)
    {
        try
        {
            return empty([.. shape], type, CPU);
        }
        catch (ExternalException error)
        {
            throw new InvalidOperationException($"{info.Where}: there is no memory for [{string.Join(", ", shape)}] numbers of {type}.", error);
        }
    }
}

/// <summary>One tensor of a file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its lengths, outermost first (row-major), also for GGUF, whose files list them innermost first.</param>
/// <param name="Format">How the file stores it.</param>
/// <param name="File">The file.</param>
/// <param name="Offset">Its first byte: in the data while the directory is read, then in the file.</param>
internal sealed record TensorInfo(string Name, IReadOnlyList<long> Shape, NumberFormat Format, RegularFile File, long Offset)
{
    /// <summary>The number of numbers: the product of the shape, 1 for a scalar (shape <c>[]</c>).</summary>
    public long Length => Shape.Aggregate(1L, (product, length) => product * length);

    public long Bytes => Length / Format.BlockLength * Format.BlockSize;

    /// <summary>What errors call it.</summary>
    public string Where => $"'{File.Path}', tensor '{Name}'";

    /// <summary>This tensor, once its bytes can be counted in 64 bits, also where a length of 0 would hide it.</summary>
    public TensorInfo Checked()
    {
        Int128 bytes = Format.BlockSize;
        foreach (var length in Shape)
        {
            bytes *= Math.Max(1, length);
            Fault.InvalidDataIf(length < 0 || bytes > long.MaxValue,
                $"{Where}: the lengths [{string.Join(", ", Shape)}] are negative, or take more than 2^63 bytes. The file is damaged.");
        }

        return this;
    }
}
