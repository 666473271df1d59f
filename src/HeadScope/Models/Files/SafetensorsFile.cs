using System.Buffers.Binary;
using System.Collections.ObjectModel;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// The safetensors format: 8 bytes with the length of a JSON header, the header (name → dtype, shape, data_offsets), the data. One file,
/// or shards joined by an index (<c>model.safetensors.index.json</c>). Only what is asked for is read.
/// </summary>
/// <remarks>
/// As in the format's own library, tensors must fill the data without gaps or overlaps, and nothing may follow them: what opens here
/// is whole as far as lengths can tell.
/// </remarks>
public sealed class SafetensorsFile : TensorFile
{
    /// <summary>The largest header that the format allows.</summary>
    private const long LargestHeader = 100_000_000;

    private static readonly string[] WindowsDevices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", .. Numbered("COM"), .. Numbered("LPT")];

    private readonly Dictionary<string, string> metadata = new(StringComparer.Ordinal);

    private SafetensorsFile(string path)
        : base(path)
    {
    }

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
            if (wanted.FirstOrDefault(name => !Tensors.ContainsKey(name)) is { } missing)
            {
                throw new InvalidDataException($"'{index}' puts tensor '{missing}' in '{shard.Key}', which has no such tensor.");
            }
        }
    }

    /// <summary>Reads which shard holds each tensor.</summary>
    internal static Dictionary<string, string> ReadIndex(string index)
    {
        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        ReadJson(index, RegularFile.ReadAllBytes(index), root =>
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
                if (!IsShardName(shard))
                {
                    throw new InvalidDataException(
                        $"'{index}', tensor '{property.Name}': expected the name of a shard beside the index, found {property.Value.GetRawText()}. "
                        + "A shard is a '.safetensors' file; its name has no folder, drive or device in it.");
                }

                if (!shards.TryAdd(property.Name, shard))
                {
                    throw new InvalidDataException($"'{index}' lists tensor '{property.Name}' twice.");
                }
            }
        });
        return shards;
    }

    // What an index names is opened, so it must be a plain name on every system: no path, no drive or stream (C:x), no device (NUL).
    private static bool IsShardName(string name) =>
        name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
        && !name.AsSpan().ContainsAny("/\\:*?\"<>|") && !name.Any(char.IsControl)
        && !WindowsDevices.Contains(name[..name.IndexOf('.', StringComparison.Ordinal)].TrimEnd(), StringComparer.OrdinalIgnoreCase);

    private static IEnumerable<string> Numbered(string device) => "0123456789¹²³".Select(digit => $"{device}{digit}");

    private void AddFile(string path, HashSet<string>? wanted)
    {
        var file = OpenFile(path);
        var header = ReadHeader(file);
        var dataStart = 8L + header.Length;
        var entries = new List<Entry>();
        ReadJson(path, header, root =>
        {
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"'{path}': expected a JSON object as header, found {root.ValueKind}.");
            }

            foreach (var property in root.EnumerateObject())
            {
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
        PlaceTensors(file, dataStart, entries, wanted);
        CheckGaps(file, dataStart, entries);
    }

    private static byte[] ReadHeader(RegularFile file)
    {
        var start = file.ReadStart(8);
        var length = start.Length < 8
            ? throw new InvalidDataException(
                $"'{file.Path}' has {file.Length} bytes; expected at least the 8 of a safetensors header's length. The file is cut.")
            : BinaryPrimitives.ReadUInt64LittleEndian(start);
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

        var header = new byte[length];
        file.Read(8, header, "its header");
        return header;
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
        var format = NumberFormat.Of(dataType) is { BlockLength: 1 } known
            ? known
            : throw new InvalidDataException($"'{path}', tensor '{name}': dtype '{dataType}' is not known.");

        var lengths = ReadNumbers(path, name, shape);
        var range = ReadNumbers(path, name, offsets);
        if (range is not [var begin, var end] || end < begin)
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{name}': expected data_offsets [begin, end] with begin ≤ end, found {offsets.GetRawText()}.");
        }

        var bytes = ByteCount($"'{path}', tensor '{name}'", lengths, format);
        if (bytes != end - begin)
        {
            throw new InvalidDataException(
                $"'{path}', tensor '{name}': shape {shape.GetRawText()} of {dataType} takes {bytes} bytes, "
                + $"but its data_offsets {offsets.GetRawText()} hold {end - begin}.");
        }

        return new Entry(new TensorInfo(name, new ReadOnlyCollection<long>(lengths), dataType), format, begin, end);
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

    private static void CheckGaps(RegularFile file, long dataStart, List<Entry> entries)
    {
        Int128 end = 0;
        foreach (var entry in entries)
        {
            if (entry.Begin != end)
            {
                throw new InvalidDataException(
                    $"'{file.Path}', tensor '{entry.Info.Name}': its data begins at byte {entry.Begin}, expected {end}; there is a gap before it.");
            }

            end = entry.End;
        }

        if (end != file.Length - dataStart)
        {
            throw new InvalidDataException(
                $"'{file.Path}': the tensors end at byte {end} after the header, but {file.Length - dataStart} bytes follow it.");
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
}
