using System.Buffers;
using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// Writes a safetensors file as the format's own library does: tensors by falling size of their numbers, then by name, and a header
/// padded to 8 bytes, so that all data is aligned. Numbers are taken and encoded while writing; nothing is held twice.
/// </summary>
public sealed class SafetensorsWriter
{
    private const int ChunkLength = 1 << 16;

    private readonly SortedDictionary<string, Source> sources = new(StringComparer.Ordinal);

    /// <summary>Gives numbers of a tensor, row-major.</summary>
    /// <param name="start">The first number wanted.</param>
    /// <param name="destination">Takes the numbers.</param>
    public delegate void TensorReader(long start, Span<float> destination);

    private delegate void ChunkWriter(long start, int count, Span<byte> destination);

    /// <summary>Free text to be kept with the tensors.</summary>
    public IDictionary<string, string> Metadata { get; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Writes fp32 tensors to a file.</summary>
    /// <param name="path">The file; replaced when it exists.</param>
    /// <param name="tensors">The tensors by name.</param>
    /// <param name="metadata">Free text to be kept with them; null for none.</param>
    /// <exception cref="ArgumentException">A name cannot be stored.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(
        string path, IReadOnlyDictionary<string, Tensor<float>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var writer = new SafetensorsWriter();
        foreach (var (name, tensor) in tensors)
        {
            writer.Add(name, tensor);
        }

        foreach (var (key, value) in metadata ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            writer.Metadata.Add(key, value);
        }

        writer.Save(path);
    }

    /// <summary>Adds a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">Its numbers, taken when the file is saved.</param>
    /// <param name="dataType">F32, F16 or BF16; the latter two round to nearest.</param>
    /// <exception cref="ArgumentException">The name is taken or cannot be stored, or the data type is another.</exception>
    public void Add(string name, Tensor<float> tensor, string dataType = "F32")
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var shape = new long[tensor.Rank];
        for (var i = 0; i < shape.Length; i++)
        {
            shape[i] = tensor.Lengths[i];
        }

        Add(name, shape, (start, destination) => CopyRange(tensor, start, destination), dataType);
    }

    /// <summary>Adds a tensor whose numbers are asked for while the file is written, range by range in rising order.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">Its lengths, outermost first; empty for a scalar.</param>
    /// <param name="read">Gives its numbers.</param>
    /// <param name="dataType">F32, F16 or BF16; the latter two round to nearest.</param>
    /// <exception cref="ArgumentException">The name is taken or cannot be stored, or the data type is another.</exception>
    public void Add(string name, IReadOnlyList<long> shape, TensorReader read, string dataType = "F32")
    {
        ArgumentNullException.ThrowIfNull(read);
        if (dataType is not ("F32" or "F16" or "BF16"))
        {
            throw new ArgumentException($"fp32 numbers can be written as F32, F16 or BF16, not as '{dataType}'.", nameof(dataType));
        }

        Add(name, shape, dataType, (start, count, destination) =>
        {
            var values = ArrayPool<float>.Shared.Rent(count);
            read(start, values.AsSpan(0, count));
            ScalarFormat.Encode(dataType, values.AsSpan(0, count), destination);
            ArrayPool<float>.Shared.Return(values);
        });
    }

    /// <summary>Adds a tensor of integers (I64), such as token ids.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">Its lengths, outermost first; empty for a scalar.</param>
    /// <param name="values">Its numbers, row-major, taken when the file is saved.</param>
    /// <exception cref="ArgumentException">The name is taken or cannot be stored, or the numbers do not fill the shape.</exception>
    public void Add(string name, IReadOnlyList<long> shape, ReadOnlyMemory<long> values)
    {
        ArgumentNullException.ThrowIfNull(shape);
        RequireFilled(name, shape, values.Length);
        Add(name, shape, "I64", (start, count, destination) =>
            MemoryMarshal.AsBytes(values.Span.Slice((int)start, count)).CopyTo(destination));
    }

    /// <summary>Adds a tensor of truth values (BOOL), such as a mask.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">Its lengths, outermost first; empty for a scalar.</param>
    /// <param name="values">Its values, row-major, taken when the file is saved.</param>
    /// <exception cref="ArgumentException">The name is taken or cannot be stored, or the values do not fill the shape.</exception>
    public void Add(string name, IReadOnlyList<long> shape, ReadOnlyMemory<bool> values)
    {
        ArgumentNullException.ThrowIfNull(shape);
        RequireFilled(name, shape, values.Length);
        Add(name, shape, "BOOL", (start, count, destination) =>
            MemoryMarshal.AsBytes(values.Span.Slice((int)start, count)).CopyTo(destination));
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file; replaced when it exists.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        var ordered = sources.Values.OrderByDescending(source => source.Size).ThenBy(source => source.Name, StringComparer.Ordinal).ToList();
        AtomicFile.Write(path, stream =>
        {
            WriteHeader(stream, ordered);
            var buffer = new byte[ChunkLength * sizeof(double)];
            foreach (var source in ordered)
            {
                for (var start = 0L; start < source.Length; start += ChunkLength)
                {
                    var count = (int)Math.Min(ChunkLength, source.Length - start);
                    var bytes = buffer.AsSpan(0, count * source.Size);
                    source.Write(start, count, bytes);
                    stream.Write(bytes);
                }
            }
        });
    }

    private static void RequireFilled(string name, IReadOnlyList<long> shape, int count)
    {
        var length = shape.Aggregate(1L, (product, next) => checked(product * next));
        if (length != count)
        {
            throw new ArgumentException(
                $"Tensor '{name}': {count} numbers do not fill the shape [{string.Join(", ", shape)}], which has {length}.");
        }
    }

    private static void CopyRange(Tensor<float> tensor, long start, Span<float> destination)
    {
        if (tensor.IsDense && tensor.FlattenedLength <= int.MaxValue)
        {
            tensor.AsFlatSpan().Slice((int)start, destination.Length).CopyTo(destination);
            return;
        }

        // Strided views are rare and small; counting up an index is enough for them.
        Span<nint> index = stackalloc nint[tensor.Rank];
        for (var i = 0; i < destination.Length; i++)
        {
            var rest = (nint)(start + i);
            for (var axis = tensor.Rank - 1; axis >= 0; axis--)
            {
                (rest, index[axis]) = Math.DivRem(rest, tensor.Lengths[axis]);
            }

            destination[i] = tensor[index];
        }
    }

    private void Add(string name, IReadOnlyList<long> shape, string dataType, ChunkWriter write)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(shape);
        if (string.Equals(name, "__metadata__", StringComparison.Ordinal))
        {
            throw new ArgumentException("The format reserves the name __metadata__; use the Metadata property.", nameof(name));
        }

        RefuseHalfPairs(name);
        if (shape.Any(length => length < 0))
        {
            throw new ArgumentException($"Tensor '{name}': the shape [{string.Join(", ", shape)}] has a negative length.", nameof(shape));
        }

        var info = new TensorInfo(name, [.. shape], dataType);
        if (!sources.TryAdd(name, new Source(name, info.Shape, dataType, info.Length, ScalarFormat.SizeOf(dataType), write)))
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
                json.WriteStartObject(source.Name);
                json.WriteString("dtype", source.DataType);
                WriteNumbers(json, "shape", source.Shape);
                WriteNumbers(json, "data_offsets", [offset, checked(offset += source.Length * source.Size)]);
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

    private sealed record Source(string Name, IReadOnlyList<long> Shape, string DataType, long Length, int Size, ChunkWriter Write);
}
