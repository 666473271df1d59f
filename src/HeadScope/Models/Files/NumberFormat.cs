using System.Numerics;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>How a file stores numbers, little-endian: blocks of <paramref name="BlockLength"/> in <paramref name="BlockSize"/> bytes.</summary>
/// <param name="Name">The name that safetensors or ggml gives it, such as <c>BF16</c> or <c>Q4_K</c>.</param>
/// <param name="BlockLength">Numbers of one block; 1 for plain numbers.</param>
/// <param name="BlockSize">Bytes of one block.</param>
/// <param name="Type">The type of a tensor that is read from it; null where it cannot be read.</param>
/// <param name="Decode">Makes that type of whole blocks; null where the bytes are the numbers already.</param>
internal sealed record NumberFormat(string Name, int BlockLength, int BlockSize, ScalarType? Type = null, NumberFormat.Decoder? Decode = null)
{
    // Floating point first, then by size: the names that an error lists.
    private static readonly NumberFormat[] Readable =
    [
        new("F64", 1, 8, ScalarType.Float64),
        new("F32", 1, 4, ScalarType.Float32),
        new("F16", 1, 2, ScalarType.Float16),
        new("BF16", 1, 2, ScalarType.BFloat16),
        new("I64", 1, 8, ScalarType.Int64),
        new("I32", 1, 4, ScalarType.Int32),
        new("I16", 1, 2, ScalarType.Int16),
        new("I8", 1, 1, ScalarType.Int8),
        new("U8", 1, 1, ScalarType.Byte),
        new("BOOL", 1, 1, ScalarType.Bool),

        // Torch computes with one unsigned type only; the next wider signed one holds the same numbers.
        new("U32", 1, 4, ScalarType.Int64, Widen<uint, long>),
        new("U16", 1, 2, ScalarType.Int32, Widen<ushort, int>),
        .. GgufBlocks.Formats,
    ];

    private static readonly Dictionary<string, NumberFormat> ByName = Readable
        .Concat([new("U64", 1, 8), new("F8_E4M3", 1, 1), new("F8_E5M2", 1, 1)])
        .ToDictionary(format => format.Name, StringComparer.Ordinal);

    public delegate void Decoder(ReadOnlySpan<byte> source, Span<byte> destination);

    public static string Names => string.Join(", ", Readable.Select(format => format.Name));

    /// <summary>The format of a name; null for one that is not known.</summary>
    public static NumberFormat? Of(string name) => ByName.GetValueOrDefault(name);

    /// <summary>The format that stores a type's numbers as they are; null where there is none.</summary>
    public static NumberFormat? Of(ScalarType type) => Array.Find(Readable, format => format.Type == type && format.Decode is null);

    private static void Widen<TFrom, TTo>(ReadOnlySpan<byte> source, Span<byte> destination)
        where TFrom : unmanaged, INumberBase<TFrom>
        where TTo : unmanaged, INumberBase<TTo>
    {
        var from = MemoryMarshal.Cast<byte, TFrom>(source);
        var to = MemoryMarshal.Cast<byte, TTo>(destination);
        for (var i = 0; i < from.Length; i++)
        {
            to[i] = TTo.CreateTruncating(from[i]);
        }
    }
}
