using System.Collections.ObjectModel;
using System.Globalization;
using System.Numerics;

namespace HeadScope;

/// <summary>
/// The GGUF format, versions 2 and 3, little-endian: typed metadata, then the tensors. The file is mapped into memory; blocks are
/// decoded when they are read.
/// </summary>
/// <remarks>
/// Read are F32, F16, BF16, F64, I8 to I64, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K. Names are those of the file
/// (<c>blk.0.attn_q.weight</c>); shapes are turned round to row-major order, so that a GGUF tensor of dimensions [512, 3] is [3, 512].
/// </remarks>
public sealed class GgufFile : TensorFile
{
    private const uint DefaultAlignment = 32;
    private const int MostDimensions = 4;

    /// <summary>Numbers decoded at once, so that byte counts stay within a span; a multiple of every block's length.</summary>
    private const int ChunkLength = 1 << 24;

    private readonly MappedFile file;
    private readonly Dictionary<string, object> metadata = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Place> places = new(StringComparer.Ordinal);

    private GgufFile(string path) => file = new MappedFile(path);

    /// <inheritdoc/>
    public override string Path => file.Path;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <summary>
    /// What the file says about the model. A value is a <see cref="bool"/>, an integer of 8 to 64 bits with or without sign, a
    /// <see cref="float"/>, a <see cref="double"/>, a <see cref="string"/>, or an array of one of these (<c>uint[]</c>, <c>string[]</c>);
    /// an array of arrays is an <c>object[]</c>.
    /// </summary>
    public IReadOnlyDictionary<string, object> Metadata => metadata;

    /// <summary>Opens a file and reads its header.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The open file.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not GGUF, or cut, or damaged.</exception>
    /// <exception cref="NotSupportedException">
    /// It is big-endian, of version 1, one part of several, or a tensor's type is not read here.
    /// </exception>
    public static GgufFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var opened = new GgufFile(path);
        try
        {
            opened.ReadHeader();
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Read(string name, long start, Span<float> destination)
    {
        var info = Find(name);
        CheckRange(info, start, destination.Length);
        var place = places[name];
        var block = place.Type.BlockLength;
        if (start % block is var skip and not 0)
        {
            ReadWithin(place, start / block, (int)skip, ref destination);
            start += block - skip;
        }

        while (destination.Length >= block)
        {
            var length = Math.Min(destination.Length, ChunkLength) / block * block;
            var blocks = length / block;
            using var lease = file.Borrow(place.Offset + (start / block * place.Type.BlockSize), blocks * place.Type.BlockSize);
            GgufBlocks.Decode(place.Type, lease.Bytes, destination[..length]);
            destination = destination[length..];
            start += length;
        }

        if (!destination.IsEmpty)
        {
            ReadWithin(place, start / block, 0, ref destination);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => file.Dispose();

    /// <summary>Decodes numbers of one block, from the given one on, and takes them off the destination.</summary>
    private void ReadWithin(Place place, long block, int skip, ref Span<float> destination)
    {
        Span<float> whole = stackalloc float[place.Type.BlockLength];
        using var lease = file.Borrow(place.Offset + (block * place.Type.BlockSize), place.Type.BlockSize);
        GgufBlocks.Decode(place.Type, lease.Bytes, whole);
        var count = Math.Min(whole.Length - skip, destination.Length);
        whole.Slice(skip, count).CopyTo(destination);
        destination = destination[count..];
    }

    private void ReadHeader()
    {
        using var lease = file.Borrow(0, (int)Math.Min(file.Length, int.MaxValue));
        CheckStart(lease.Bytes);
        var reader = new GgufReader(Path, lease.Bytes);
        reader.Read<uint>("the magic number");
        CheckVersion(reader.Read<uint>("the version"));
        var tensorCount = reader.ReadCount(24, "tensors");
        var entryCount = reader.ReadCount(13, "entries of metadata");
        for (var i = 0; i < entryCount; i++)
        {
            var key = reader.ReadString("a key of metadata");
            if (!metadata.TryAdd(key, reader.ReadValue(reader.Read<uint>(key), key)))
            {
                throw new InvalidDataException($"'{Path}' has the metadata key '{key}' twice.");
            }
        }

        if (metadata.TryGetValue("split.count", out var parts) && parts is ushort and > 1)
        {
            throw new NotSupportedException(
                $"'{Path}' is one of {string.Create(CultureInfo.InvariantCulture, $"{parts}")} parts of a model; join them with llama.cpp's 'llama-gguf-split --merge'.");
        }

        var entries = new List<Entry>(tensorCount);
        for (var i = 0; i < tensorCount; i++)
        {
            entries.Add(ReadTensor(ref reader));
        }

        var alignment = Alignment();
        PlaceTensors(entries, alignment, (reader.Position + alignment - 1L) / alignment * alignment);
    }

    private void CheckStart(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
        {
            throw new InvalidDataException($"'{Path}' is a Git LFS pointer, not the model it stands for; run 'git lfs pull' in its folder.");
        }

        if (!start.StartsWith("GGUF"u8))
        {
            throw new InvalidDataException(
                $"'{Path}' is not a GGUF file: expected the bytes 'GGUF' at its start, found {Convert.ToHexString(start[..Math.Min(4, start.Length)])}.");
        }
    }

    private void CheckVersion(uint version)
    {
        if (version is 2 or 3)
        {
            return;
        }

        throw version switch
        {
            0x02000000 or 0x03000000 => new NotSupportedException(
                $"'{Path}' is a big-endian GGUF file; expected a little-endian one. Convert it with gguf-py's gguf_convert_endian."),
            1 => new NotSupportedException($"'{Path}' is a GGUF file of version 1; expected 2 or 3. Convert the model again."),
            _ => new InvalidDataException($"'{Path}': GGUF version {version} is not known; expected 2 or 3."),
        };
    }

    private Entry ReadTensor(ref GgufReader reader)
    {
        var name = reader.ReadString("a tensor's name");
        var where = $"'{Path}', tensor '{name}'";
        var dimensions = reader.Read<uint>(where);
        if (dimensions > MostDimensions)
        {
            throw new InvalidDataException($"{where} has {dimensions} dimensions; expected at most {MostDimensions}.");
        }

        var shape = new long[dimensions];
        Int128 length = 1; // a length of 0 counts as 1, so that it hides no absurd other one
        for (var i = (int)dimensions - 1; i >= 0; i--)
        {
            shape[i] = reader.Read<long>(where);
            length *= Math.Max(1, shape[i]);
            if (shape[i] < 0 || length > long.MaxValue)
            {
                throw new InvalidDataException($"{where}: its lengths are negative, or their product is beyond 64 bits. The file is damaged.");
            }
        }

        var type = GgufType.Of(reader.Read<uint>(where), where);
        if ((shape is [.., var row] ? row : 1) % type.BlockLength != 0)
        {
            throw new InvalidDataException(
                $"{where}: rows of {(shape is [.., var found] ? found : 1)} numbers; expected a multiple of {type.BlockLength}, the block length of {type.Name}.");
        }

        length = shape.Contains(0) ? 0 : length;
        var bytes = length / type.BlockLength * type.BlockSize;
        var offset = reader.Read<ulong>(where);
        return new Entry(new TensorInfo(name, new ReadOnlyCollection<long>(shape), type.Name), type, offset, bytes);
    }

    private uint Alignment()
    {
        if (!metadata.TryGetValue("general.alignment", out var value))
        {
            return DefaultAlignment;
        }

        return value is uint alignment && BitOperations.IsPow2(alignment)
            ? alignment
            : throw new InvalidDataException(
                $"'{Path}': expected a power of two (UINT32) as general.alignment, found {string.Create(CultureInfo.InvariantCulture, $"{value}")}.");
    }

    private void PlaceTensors(List<Entry> entries, uint alignment, long dataStart)
    {
        var available = Math.Max(0, file.Length - dataStart);
        var previous = default(Entry);
        foreach (var entry in entries.OrderBy(entry => entry.Offset).ThenBy(entry => entry.Bytes))
        {
            var where = $"'{Path}', tensor '{entry.Info.Name}'";
            if (entry.Offset % alignment != 0)
            {
                throw new InvalidDataException($"{where} begins at byte {entry.Offset} of the data; expected a multiple of {alignment}.");
            }

            if (entry.Offset + entry.Bytes > available)
            {
                throw new InvalidDataException(
                    $"{where} takes {entry.Bytes} bytes from {entry.Offset} on, but the data has {available}. The file is cut; download it again.");
            }

            if (previous is not null && entry.Offset < previous.Offset + previous.Bytes)
            {
                throw new InvalidDataException(
                    $"{where} begins at byte {entry.Offset} of the data, inside tensor '{previous.Info.Name}', which ends at {previous.Offset + previous.Bytes}.");
            }

            if (!tensors.TryAdd(entry.Info.Name, entry.Info))
            {
                throw new InvalidDataException($"'{Path}' has two tensors named '{entry.Info.Name}'.");
            }

            places.Add(entry.Info.Name, new Place(entry.Type, dataStart + (long)entry.Offset));
            previous = entry;
        }
    }

    private sealed record Entry(TensorInfo Info, GgufType Type, Int128 Offset, Int128 Bytes);

    private sealed record Place(GgufType Type, long Offset);
}
