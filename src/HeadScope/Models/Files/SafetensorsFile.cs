using System.Buffers.Binary;
using System.Collections.ObjectModel;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// The safetensors format: 8 bytes with the length of a JSON header, the header (name → dtype, shape, data_offsets), the data. One file,
/// or shards joined by an index (<c>model.safetensors.index.json</c>). Files are mapped into memory; only what is read is loaded.
/// </summary>
/// <remarks>
/// As in the format's own library, tensors must fill the data without gaps or overlaps, and nothing may follow them: what opens here
/// is whole as far as lengths can tell.
/// </remarks>
public sealed class SafetensorsFile : TensorFile
{
    /// <summary>The largest header that the format allows.</summary>
    private const long LargestHeader = 100_000_000;

    /// <summary>Numbers decoded at once, so that byte counts stay within a span.</summary>
    private const int ChunkLength = 1 << 24;

    private readonly List<MappedFile> files = [];
    private readonly Dictionary<string, Place> places = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> metadata = new(StringComparer.Ordinal);

    private SafetensorsFile(string path) => Path = path;

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <summary>The free text that the file (or the first shard that has the key) carries, such as <c>format</c> → <c>pt</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata => metadata;

    /// <summary>Opens a file, or shards by their index, and checks their headers.</summary>
    /// <param name="path">
    /// A <c>.safetensors</c> file, a <c>.safetensors.index.json</c>, or a folder that holds <c>model.safetensors</c>, else
    /// <c>model.safetensors.index.json</c>, else exactly one file of either kind.
    /// </param>
    /// <returns>The open file.</returns>
    /// <exception cref="FileNotFoundException">There is no such file, or the folder holds none.</exception>
    /// <exception cref="InvalidDataException">
    /// A header is damaged or does not fit its file, or a shard lacks a tensor that the index puts there.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var file = new SafetensorsFile(path);
        try
        {
            var source = Directory.Exists(path) ? FindInFolder(path) : path;
            if (source.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            {
                file.AddShards(source);
            }
            else
            {
                file.AddFile(source, wanted: null);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Read(string name, long start, Span<float> destination)
    {
        var info = Find(name);
        CheckRange(info, start, destination.Length);
        var (file, offset) = places[name];
        var size = ScalarFormat.SizeOf(info.DataType);
        while (!destination.IsEmpty)
        {
            var chunk = destination[..Math.Min(destination.Length, ChunkLength)];
            using var lease = file.Borrow(offset + (start * size), chunk.Length * size);
            ScalarFormat.Decode(info.DataType, lease.Bytes, chunk);
            destination = destination[chunk.Length..];
            start += chunk.Length;
        }
    }

    /// <summary>Reads a whole tensor of integers (I8 to I64, U8 to U32) or truth values (BOOL: 0 and 1), such as token ids.</summary>
    /// <param name="name">The tensor.</param>
    /// <returns>Its numbers, row-major.</returns>
    /// <exception cref="InvalidDataException">There is no such tensor.</exception>
    /// <exception cref="NotSupportedException">It is not of integers, or too large for one array.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public long[] ReadInt64(string name)
    {
        var info = Find(name);
        var values = new long[ArrayLength(info)];
        var (file, offset) = places[name];
        var size = ScalarFormat.SizeOf(info.DataType);
        for (var start = 0; start < values.Length; start += ChunkLength)
        {
            var chunk = values.AsSpan(start, Math.Min(ChunkLength, values.Length - start));
            using var lease = file.Borrow(offset + ((long)start * size), chunk.Length * size);
            ScalarFormat.Decode(info.DataType, lease.Bytes, chunk);
        }

        return values;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (var file in files)
        {
            file.Dispose();
        }
    }

    private static string FindInFolder(string folder)
    {
        string[] usual = ["model.safetensors", "model.safetensors.index.json"];
        if (usual.Select(name => System.IO.Path.Combine(folder, name)).FirstOrDefault(File.Exists) is { } found)
        {
            return found;
        }

        foreach (var pattern in new[] { "*.safetensors.index.json", "*.safetensors" })
        {
            switch (Directory.GetFiles(folder, pattern))
            {
                case [var only]:
                    return only;
                case [_, _, ..] several:
                    throw new FileNotFoundException(
                        $"The folder '{folder}' holds {several.Length} files {pattern} and neither model.safetensors nor "
                        + "model.safetensors.index.json; name the file to open.");
            }
        }

        throw new FileNotFoundException(
            Directory.GetFiles(folder, "*.bin").Length > 0
                ? $"The folder '{folder}' holds PyTorch .bin weights only; expected model.safetensors or model.safetensors.index.json. "
                    + "Convert it: load it with Python's transformers and save it with save_pretrained(..., safe_serialization=True)."
                : $"The folder '{folder}' holds neither model.safetensors nor model.safetensors.index.json.");
    }

    private void AddShards(string index)
    {
        var shardOf = ReadIndex(index);
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(index))!;
        foreach (var shard in shardOf.GroupBy(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal))
        {
            var path = System.IO.Path.Combine(folder, shard.Key);
            if (!File.Exists(path))
            {
                throw new InvalidDataException(
                    $"'{index}' puts tensor '{shard.First()}' and {shard.Count() - 1} more in '{shard.Key}', which is not in its folder; "
                    + "download the missing shard.");
            }

            var wanted = shard.ToHashSet(StringComparer.Ordinal);
            AddFile(path, wanted);
            if (wanted.FirstOrDefault(name => !tensors.ContainsKey(name)) is { } missing)
            {
                throw new InvalidDataException($"'{index}' puts tensor '{missing}' in '{shard.Key}', which has no such tensor.");
            }
        }
    }

    /// <summary>Reads which shard holds each tensor.</summary>
    internal static Dictionary<string, string> ReadIndex(string index)
    {
        if (!File.Exists(index))
        {
            throw new FileNotFoundException($"There is no file '{index}'.", index);
        }

        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        ReadJson(index, File.ReadAllBytes(index), root =>
        {
            if (root.ValueKind != JsonValueKind.Object
                || !root.TryGetProperty("weight_map", out var map)
                || map.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"'{index}': expected an object 'weight_map' of tensor name → shard file.");
            }

            foreach (var property in map.EnumerateObject())
            {
                var shard = property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : string.Empty;
                if (shard.Length == 0 || shard.AsSpan().IndexOfAny('/', '\\') >= 0 || shard is "." or "..")
                {
                    throw new InvalidDataException(
                        $"'{index}', tensor '{property.Name}': expected the name of a shard beside the index, found {property.Value.GetRawText()}.");
                }

                if (!shards.TryAdd(property.Name, shard))
                {
                    throw new InvalidDataException($"'{index}' lists tensor '{property.Name}' twice.");
                }
            }
        });
        return shards;
    }

    private void AddFile(string path, HashSet<string>? wanted)
    {
        var file = new MappedFile(path);
        files.Add(file);
        var header = ReadHeader(file);
        var dataStart = 8L + header.Length;
        var entries = new List<Entry>();
        ReadJson(path, header, root =>
        {
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"'{path}': expected a JSON object as header, found {root.ValueKind}.");
            }

            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var property in root.EnumerateObject())
            {
                if (!names.Add(property.Name))
                {
                    throw new InvalidDataException($"'{path}' has two tensors named '{property.Name}'.");
                }

                if (property.NameEquals("__metadata__"))
                {
                    AddMetadata(path, property.Value);
                }
                else
                {
                    entries.Add(ReadEntry(path, property.Name, property.Value));
                }
            }
        });
        CheckLayout(file, dataStart, entries);
        foreach (var entry in entries)
        {
            if (wanted is null || wanted.Contains(entry.Info.Name))
            {
                tensors.Add(entry.Info.Name, entry.Info);
                places.Add(entry.Info.Name, new Place(file, dataStart + entry.Begin));
            }
        }
    }

    private static byte[] ReadHeader(MappedFile file)
    {
        if (file.Length < 8)
        {
            throw new InvalidDataException(
                $"'{file.Path}' has {file.Length} bytes; expected at least the 8 of a safetensors header's length. The file is cut or empty.");
        }

        using var start = file.Borrow(0, (int)Math.Min(file.Length, 64));
        if (start.Bytes.StartsWith("version https://git-lfs"u8))
        {
            throw new InvalidDataException(
                $"'{file.Path}' is a Git LFS pointer, not the weights it stands for; run 'git lfs pull' in its folder.");
        }

        var length = BinaryPrimitives.ReadUInt64LittleEndian(start.Bytes);
        if (length > LargestHeader)
        {
            throw new InvalidDataException(
                $"'{file.Path}': a header of {length} bytes is more than the format allows ({LargestHeader}). This is not a safetensors file, or it is damaged.");
        }

        if ((long)length > file.Length - 8)
        {
            throw new InvalidDataException(
                $"'{file.Path}': a header of {length} bytes does not fit into the file's {file.Length}. The file is cut; download it again.");
        }

        using var header = file.Borrow(8, (int)length);
        return header.Bytes.ToArray();
    }

    private void AddMetadata(string path, JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        if (element.ValueKind != JsonValueKind.Object)
        {
            throw new InvalidDataException($"'{path}': expected an object of strings as __metadata__, found {element.ValueKind}.");
        }

        foreach (var pair in element.EnumerateObject())
        {
            if (pair.Value.ValueKind != JsonValueKind.String)
            {
                throw new InvalidDataException(
                    $"'{path}', __metadata__ '{pair.Name}': expected a string, found {pair.Value.ValueKind}.");
            }

            metadata.TryAdd(pair.Name, pair.Value.GetString()!);
        }
    }

    private static Entry ReadEntry(string path, string name, JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object
            || !element.TryGetProperty("dtype", out var dtype) || dtype.ValueKind != JsonValueKind.String
            || !element.TryGetProperty("shape", out var shape) || shape.ValueKind != JsonValueKind.Array
            || !element.TryGetProperty("data_offsets", out var offsets) || offsets.ValueKind != JsonValueKind.Array)
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{name}': expected an object with a string 'dtype' and arrays 'shape' and 'data_offsets'.");
        }

        var dataType = dtype.GetString()!;
        var size = ScalarFormat.SizeOf(dataType);
        if (size == 0)
        {
            throw new InvalidDataException($"'{path}', tensor '{name}': dtype '{dataType}' is not known.");
        }

        var lengths = ReadNumbers(path, name, shape);
        var range = ReadNumbers(path, name, offsets);
        if (range is not [var begin, var end] || end < begin)
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{name}': expected data_offsets [begin, end] with begin ≤ end, found {offsets.GetRawText()}.");
        }

        var bytes = ByteCount(lengths, size);
        if (bytes != end - begin)
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{name}': shape {shape.GetRawText()} of {dataType} takes {(bytes < 0 ? "more than 2^63" : bytes)} bytes, "
                + $"but its data_offsets {offsets.GetRawText()} hold {end - begin}.");
        }

        return new Entry(new TensorInfo(name, new ReadOnlyCollection<long>(lengths), dataType), begin, end);
    }

    private static long[] ReadNumbers(string path, string name, JsonElement array)
    {
        var numbers = new long[array.GetArrayLength()];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (array[i].ValueKind != JsonValueKind.Number || !array[i].TryGetInt64(out numbers[i]) || numbers[i] < 0)
            {
                throw new InvalidDataException(
                    $"'{path}', tensor '{name}': expected whole numbers from 0 on, found {array[i].GetRawText()}.");
            }
        }

        return numbers;
    }

    /// <summary>The bytes of a shape; -1 when they are beyond 64 bits, even where a length of 0 would hide it.</summary>
    private static long ByteCount(long[] shape, int size)
    {
        var product = (long)size;
        var empty = false;
        foreach (var length in shape)
        {
            if (length > long.MaxValue / product)
            {
                return -1;
            }

            empty |= length == 0;
            product *= Math.Max(1, length);
        }

        return empty ? 0 : product;
    }

    private static void CheckLayout(MappedFile file, long dataStart, List<Entry> entries)
    {
        entries.Sort((a, b) => (a.Begin, a.End).CompareTo((b.Begin, b.End)));
        var available = file.Length - dataStart;
        var previous = default(Entry);
        foreach (var entry in entries)
        {
            if (entry.End > available)
            {
                throw new InvalidDataException(
                    $"'{file.Path}', tensor '{entry.Info.Name}': its data ends at byte {entry.End} of {available} after the header. "
                    + "The file is cut; download it again.");
            }

            var expected = previous?.End ?? 0;
            if (entry.Begin != expected)
            {
                var relation = entry.Begin < expected ? "overlaps" : "leaves a gap to";
                throw new InvalidDataException(
                    $"'{file.Path}', tensor '{entry.Info.Name}': its data begins at byte {entry.Begin}, expected {expected}; "
                    + $"it {relation} {(previous is null ? "the header" : $"tensor '{previous.Info.Name}'")}.");
            }

            previous = entry;
        }

        if (available != (previous?.End ?? 0))
        {
            throw new InvalidDataException(
                $"'{file.Path}': the tensors end at byte {previous?.End ?? 0} after the header, but {available} bytes follow it.");
        }
    }

    private static void ReadJson(string path, byte[] json, Action<JsonElement> read)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            read(document.RootElement);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string that is not UTF-8, or holds half a surrogate pair.
            throw new InvalidDataException($"'{path}': the header is not valid JSON. {error.Message}", error);
        }
    }

    private sealed record Entry(TensorInfo Info, long Begin, long End);

    private sealed record Place(MappedFile File, long Offset);
}
