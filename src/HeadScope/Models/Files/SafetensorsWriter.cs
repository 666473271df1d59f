using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// Writes a safetensors file as the format's own library does: tensors by falling size of their numbers, then by name, and a header
/// padded to 8 bytes, so that all data is aligned. Numbers are taken and encoded while writing; nothing is held twice.
/// </summary>
public sealed class SafetensorsWriter
{
    /// <summary>Numbers that are copied at once, from a device, to another type, or from a strided tensor.</summary>
    private const int ChunkLength = 1 << 20;

    private readonly SortedDictionary<string, Source> sources = new(StringComparer.Ordinal);

    /// <summary>Free text to be kept with the tensors.</summary>
    public IDictionary<string, string> Metadata { get; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Writes tensors to a file, each with its own type.</summary>
    /// <param name="path">The file; replaced when it exists.</param>
    /// <param name="tensors">The tensors by name.</param>
    /// <exception cref="ArgumentException">A name or a type cannot be stored.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
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
        ArgumentNullException.ThrowIfNull(tensor);
        var type = dtype ?? tensor.dtype;
        Add(name, tensor.shape, type, stream => Write(stream, tensor, type));
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file; replaced when it exists.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        var ordered = sources.Values.OrderByDescending(source => source.Format.BlockSize).ThenBy(source => source.Info.Name, StringComparer.Ordinal).ToList();
        AtomicFile.Write(path, stream =>
        {
            WriteHeader(stream, ordered);
            foreach (var source in ordered)
            {
                source.Write(stream);
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

    private void Add(string name, long[] shape, ScalarType type, Action<Stream> write)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (string.Equals(name, "__metadata__", StringComparison.Ordinal))
        {
            throw new ArgumentException("The format reserves the name __metadata__; use the Metadata property.", nameof(name));
        }

        RefuseHalfPairs(name);
        var format = NumberFormat.Of(type)
            ?? throw new ArgumentException($"Tensor '{name}': safetensors has no name for numbers of type {type}.", nameof(type));
        if (!sources.TryAdd(name, new Source(new TensorInfo(name, shape, format.Name), format, write)))
        {
            throw new ArgumentException($"There is already a tensor '{name}'.", nameof(name));
        }
    }

    private static void RefuseHalfPairs(string text)
    {
        try
        {
            _ = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetByteCount(text);
        }
        catch (EncoderFallbackException error)
        {
            throw new ArgumentException($"The name '{text}' holds half a surrogate pair and cannot be stored as UTF-8.", nameof(text), error);
        }
    }

    private void WriteHeader(Stream stream, List<Source> ordered)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (Metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in Metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            foreach (var source in ordered)
            {
                json.WriteStartObject(source.Info.Name);
                json.WriteString("dtype", source.Format.Name);
                WriteNumbers(json, "shape", source.Info.Shape);
                WriteNumbers(json, "data_offsets", [offset, checked(offset += source.Info.Length * source.Format.BlockSize)]);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (header.Length % 8 != 0)
        {
            header.WriteByte((byte)' ');
        }

        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        stream.Write(length);
        header.WriteTo(stream);
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IEnumerable<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }

    private sealed record Source(TensorInfo Info, NumberFormat Format, Action<Stream> Write);
}
