using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Writes a safetensors file as the format's own library does: tensors by falling size of their numbers, then by name, and a header
/// padded to 8 bytes, so that all data is aligned. Numbers are taken and encoded while writing; nothing is held twice.</summary>
internal sealed class SafetensorsWriter
{
    /// <summary>Numbers that are copied at once, from a device, to another type, or from a strided tensor.</summary>
    private const int ChunkLength = 1 << 20;

    private readonly SortedDictionary<string, (Tensor Tensor, NumberFormat Format)> sources = new(StringComparer.Ordinal);

    /// <summary>Free text to be kept with the tensors.</summary>
    public IDictionary<string, string> Metadata { get; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Writes tensors to a file, each with its own type.</summary>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        var writer = new SafetensorsWriter();
        foreach (var (name, tensor) in tensors)
        {
            writer.Add(name, tensor);
        }

        writer.Save(path);
    }

    /// <summary>Adds a tensor, on any device, contiguous or strided.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">Its numbers, taken when the file is saved; keep it until then.</param>
    /// <param name="dtype">The type to store, rounded to nearest, ties to even; null for the tensor's own.</param>
    /// <exception cref="ArgumentException">The name is taken or cannot be stored, or safetensors has no name for the type.</exception>
    public void Add(string name, Tensor tensor, ScalarType? dtype = null)
    {
        Fault.ArgumentIf(name == "__metadata__" || Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(name)) != name,
            $"'{name}' cannot be a tensor's name: the format reserves it, or it holds half a surrogate pair.");
        var type = dtype ?? tensor.dtype;
        var format = NumberFormat.Of(type)
            ?? throw new ArgumentException($"Tensor '{name}': safetensors has no name for numbers of type {type}.", nameof(dtype));
        Fault.ArgumentIf(!sources.TryAdd(name, (tensor, format)), $"There is already a tensor '{name}'.");
    }

    /// <summary>Writes the file, whole or not at all; one that exists is replaced.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        var ordered = sources.OrderByDescending(source => source.Value.Format.BlockSize).ToList(); // which keeps the names in order
        var directory = new JsonObject();
        if (Metadata.Count > 0)
        {
            directory["__metadata__"] = new JsonObject(Metadata.Select(text => KeyValuePair.Create(text.Key, (JsonNode?)text.Value)));
        }

        var end = 0L;
        foreach (var (name, (tensor, format)) in ordered)
        {
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
            foreach (var (_, (tensor, format)) in ordered)
            {
                Write(stream, tensor, format.Type!.Value);
            }
        });
    }

    // Part by part of the first axis, so that a chunk alone is held twice.
    private static void Write(Stream stream, Tensor tensor, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var count = tensor.NumberOfElements;
        if (count <= ChunkLength)
        {
            if (count > 0)
            {
                stream.Write(tensor.detach().to(type, CPU).contiguous().bytes);
            }

            return;
        }

        var rows = Math.Max(1, ChunkLength / (count / tensor.shape[0]));
        for (var first = 0L; first < tensor.shape[0]; first += rows)
        {
            Write(stream, rows == 1 ? tensor.select(0, first) : tensor.narrow(0, first, Math.Min(rows, tensor.shape[0] - first)), type);
        }
    }
}
