using System.Buffers.Binary;

namespace HeadScope;

/// <summary>The safetensors format: 8 bytes with the length of a JSON header, the header (name → dtype, shape, data_offsets), the data. One file,
/// or shards joined by an index (<c>model.safetensors.index.json</c>). Only what is asked for is read.</summary>
/// <remarks>As in the format's own library, tensors must fill the data without gaps or overlaps, and nothing may follow them: what opens here is
/// whole as far as lengths can tell.</remarks>
internal sealed class SafetensorsFile : TensorFile
{
    /// <summary>The member of the header that is no tensor.</summary>
    internal const string MetadataKey = "__metadata__";

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
    /// <param name="path">A <c>.safetensors</c> file, a <c>.safetensors.index.json</c>, or a folder that holds <c>model.safetensors</c>, else
    /// <c>model.safetensors.index.json</c>, else exactly one file of either kind.</param>
    /// <exception cref="FileNotFoundException">There is no such file, or the folder holds none.</exception>
    /// <exception cref="InvalidDataException">A header is damaged or does not fit its file, or a shard lacks a tensor that the index puts
    /// there.</exception>
    public static SafetensorsFile Open(string path) => Opened(new SafetensorsFile(path), file =>
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
    });

    private static string FindInFolder(string folder)
    {
        foreach (var pattern in new[] { "model.safetensors", "model.safetensors.index.json", "*.safetensors.index.json", "*.safetensors" })
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
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(index))!;
        foreach (var shard in ReadIndex(index).GroupBy(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal))
        {
            var path = System.IO.Path.Combine(folder, shard.Key);
            Fault.InvalidDataIf(!File.Exists(path),
                $"'{index}' puts tensor '{shard.First()}' and {shard.Count() - 1} more in '{shard.Key}', which is not in its folder; "
                + $"download the missing shard.");
            var wanted = shard.ToHashSet(StringComparer.Ordinal);
            AddFile(path, wanted);
            var missing = wanted.FirstOrDefault(name => !Tensors.ContainsKey(name));
            Fault.InvalidDataIf(missing is not null, $"'{index}' puts tensor '{missing}' in '{shard.Key}', which has no such tensor.");
        }
    }

    /// <summary>Reads which shard holds each tensor.</summary>
    public static Dictionary<string, string> ReadIndex(string index)
    {
        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (tensor, shard) in JsonField.Read(index).Required("weight_map").Members())
        {
            Fault.InvalidDataIf(shard.Value.ValueKind != JsonValueKind.String || !IsShardName(shard.Text()),
                $"'{index}', tensor '{tensor}': expected the name of a shard beside the index, found {shard.Value.GetRawText()}. "
                + $"A shard is a '.safetensors' file; its name has no folder, drive or device in it.");
            Fault.InvalidDataIf(!shards.TryAdd(tensor, shard.Text()), $"'{index}' lists tensor '{tensor}' twice.");
        }

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
        var root = JsonField.Parse(path, header);
        foreach (var (key, text) in root.Optional(MetadataKey)?.Members() ?? [])
        {
            metadata.TryAdd(key, text.Text());
        }

        var entries = root.Members().Where(member => member.Key != MetadataKey).Select(member => ReadEntry(file, member.Key, member.Field));
        PlaceTensors(file, 8L + header.Length, entries, isDense: true, wanted);
    }

    private static byte[] ReadHeader(RegularFile file)
    {
        var start = file.ReadStart(8);
        var length = start.Length < 8
            ? throw new InvalidDataException(
                $"'{file.Path}' has {file.Length} bytes; expected at least the 8 of a safetensors header's length. The file is cut.")
            : BinaryPrimitives.ReadUInt64LittleEndian(start);
        Fault.InvalidDataIf(length > LargestHeader,
            $"'{file.Path}': a header of {length} bytes is more than the format allows ({LargestHeader}). This is not a safetensors file, or it is damaged.");
        Fault.InvalidDataIf((long)length > file.Length - 8,
            $"'{file.Path}': a header of {length} bytes does not fit into the file's {file.Length}. The file is cut; download it again.");
        var header = new byte[length];
        file.Read(8, header, "its header");
        return header;
    }

    private static TensorInfo ReadEntry(RegularFile file, string name, JsonField field)
    {
        var (dtype, shape, offsets) = (field.Required("dtype"), field.Required("shape"), field.Required("data_offsets"));
        var format = NumberFormat.Of(dtype.Text()) is { BlockLength: 1 } known ? known : throw dtype.Malformed("a type of numbers that is known");
        if (offsets.Items().Select(offset => offset.Whole()).ToArray() is not [var begin, var end] || end < begin)
        {
            throw offsets.Malformed("[begin, end] with begin ≤ end");
        }

        var entry = new TensorInfo(name, [.. shape.Items().Select(length => length.Whole())], format, file, begin).Checked();
        Fault.InvalidDataIf(entry.Bytes != end - begin,
            $"{entry.Where}: shape {shape.Value.GetRawText()} of {format.Name} takes {entry.Bytes} bytes, but its data_offsets "
            + $"{offsets.Value.GetRawText()} hold {end - begin}.");
        return entry;
    }
}
