using System.Buffers.Binary;
using System.Text.Encodings.Web;

namespace HeadScope;

/// <summary>Writes a safetensors file as the format's own library does: tensors by falling size of their numbers, then by name, and a header
/// padded to 8 bytes, so that all data is aligned. Numbers are encoded while writing; nothing is held twice.</summary>
internal static class SafetensorsWriter
{
    /// <summary>Numbers that are copied at once, from a device or from a strided tensor.</summary>
    private const int ChunkLength = 1 << 20;

    /// <summary>Writes tensors to a file, on any device, contiguous or strided, each with its own type; whole or not at all. A file that exists is
    /// replaced.</summary>
    /// <param name="path">The file; its folder is made when missing.</param>
    /// <param name="tensors">The tensors by name.</param>
    /// <param name="metadata">Free text to be kept with the tensors.</param>
    /// <exception cref="ArgumentException">A name is there twice or cannot be stored, or safetensors has no name for a type.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, params IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var ordered = tensors.Select(pair => (Name: pair.Key, Tensor: pair.Value, Format: FormatOf(pair.Key, pair.Value.dtype)))
            .OrderByDescending(entry => entry.Format.BlockSize).ThenBy(entry => entry.Name, StringComparer.Ordinal).ToList();
        var directory = new JsonObject();
        if (metadata.OrderBy(text => text.Key, StringComparer.Ordinal).ToArray() is [_, ..] texts)
        {
            directory[SafetensorsFile.MetadataKey] = new JsonObject(texts.Select(text => KeyValuePair.Create(text.Key, (JsonNode?)text.Value)));
        }

        var end = 0L;
        foreach (var (name, tensor, format) in ordered)
        {
            Fault.ArgumentIf(directory.ContainsKey(name), $"There are two tensors '{name}'.");
            directory[name] = new JsonObject
            {
                ["dtype"] = format.Name,
                ["shape"] = new JsonArray([.. tensor.shape.Select(length => JsonValue.Create(length))]),
                ["data_offsets"] = new JsonArray(end, end += tensor.NumberOfElements * format.BlockSize),
            };
        }

        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header, new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            directory.WriteTo(json);
        }

        header.Write("        "u8[..(int)(-header.Length & 7)]);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            stream.Write(length);
            header.WriteTo(stream);
            ordered.ForEach(entry => Write(stream, entry.Tensor));
        });
    }

    private static NumberFormat FormatOf(string name, ScalarType type)
    {
        Fault.ArgumentIf(name == SafetensorsFile.MetadataKey || Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(name)) != name,
            $"'{name}' cannot be a tensor's name: the format reserves it, or it holds half a surrogate pair.");
        return NumberFormat.Of(type) ?? throw new ArgumentException($"Tensor '{name}': safetensors has no name for numbers of type {type}.", nameof(type));
    }

    // Part by part of the first axis, so that a chunk alone is held twice.
    private static void Write(Stream stream, Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var count = tensor.NumberOfElements;
        if (count <= ChunkLength)
        {
            if (count > 0)
            {
                stream.Write(tensor.detach().cpu().contiguous().bytes);
            }

            return;
        }

        var rows = Math.Max(1, ChunkLength / (count / tensor.shape[0]));
        for (var first = 0L; first < tensor.shape[0]; first += rows)
        {
            Write(stream, rows == 1 ? tensor.select(0, first) : tensor.narrow(0, first, Math.Min(rows, tensor.shape[0] - first)));
        }
    }
}
