using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace HeadScope;

/// <summary>How plain numbers (no blocks, no scales) are stored, little-endian, by the names safetensors gives them.</summary>
internal static class ScalarFormat
{
    /// <summary>Bytes of one number; 0 for a name that is not known.</summary>
    public static int SizeOf(string dataType) => dataType switch
    {
        "BOOL" or "U8" or "I8" or "F8_E4M3" or "F8_E5M2" => 1,
        "U16" or "I16" or "F16" or "BF16" => 2,
        "U32" or "I32" or "F32" => 4,
        "U64" or "I64" or "F64" => 8,
        _ => 0,
    };

    /// <summary>Decodes to fp32, rounding to nearest where fp32 is the smaller type.</summary>
    /// <param name="dataType">How the numbers are stored.</param>
    /// <param name="source">As many numbers as <paramref name="destination"/> has room for.</param>
    /// <param name="destination">Takes the numbers.</param>
    /// <exception cref="NotSupportedException">The data type can be stored but not be read.</exception>
    public static void Decode(string dataType, ReadOnlySpan<byte> source, Span<float> destination)
    {
        switch (dataType)
        {
            case "F32": source.CopyTo(MemoryMarshal.AsBytes(destination)); break;
            case "F16": TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(source), destination); break;
            case "BF16": DecodeBFloat16(MemoryMarshal.Cast<byte, ushort>(source), destination); break;
            case "F64": Convert<double>(source, destination); break;
            case "BOOL" or "U8": Convert<byte>(source, destination); break;
            case "I8": Convert<sbyte>(source, destination); break;
            case "U16": Convert<ushort>(source, destination); break;
            case "I16": Convert<short>(source, destination); break;
            case "U32": Convert<uint>(source, destination); break;
            case "I32": Convert<int>(source, destination); break;
            case "U64": Convert<ulong>(source, destination); break;
            case "I64": Convert<long>(source, destination); break;
            default: throw new NotSupportedException($"Numbers stored as {dataType} cannot be decoded.");
        }
    }

    /// <summary>Decodes integers and truth values without loss.</summary>
    /// <param name="dataType">How the numbers are stored.</param>
    /// <param name="source">As many numbers as <paramref name="destination"/> has room for.</param>
    /// <param name="destination">Takes the numbers.</param>
    /// <exception cref="NotSupportedException">The data type is not of integers, or U64.</exception>
    public static void Decode(string dataType, ReadOnlySpan<byte> source, Span<long> destination)
    {
        switch (dataType)
        {
            case "BOOL" or "U8": Convert<byte>(source, destination); break;
            case "I8": Convert<sbyte>(source, destination); break;
            case "U16": Convert<ushort>(source, destination); break;
            case "I16": Convert<short>(source, destination); break;
            case "U32": Convert<uint>(source, destination); break;
            case "I32": Convert<int>(source, destination); break;
            case "I64": source.CopyTo(MemoryMarshal.AsBytes(destination)); break;
            default: throw new NotSupportedException($"Numbers stored as {dataType} cannot be read as whole numbers of 64 bits.");
        }
    }

    /// <summary>Encodes fp32 numbers, rounding to nearest, ties to even.</summary>
    /// <param name="dataType">F32, F16 or BF16.</param>
    /// <param name="source">The numbers.</param>
    /// <param name="destination">Takes their bytes.</param>
    /// <exception cref="NotSupportedException">Another data type.</exception>
    public static void Encode(string dataType, ReadOnlySpan<float> source, Span<byte> destination)
    {
        switch (dataType)
        {
            case "F32": MemoryMarshal.AsBytes(source).CopyTo(destination); break;
            case "F16": TensorPrimitives.ConvertToHalf(source, MemoryMarshal.Cast<byte, Half>(destination)); break;
            case "BF16": EncodeBFloat16(source, MemoryMarshal.Cast<byte, ushort>(destination)); break;
            default: throw new NotSupportedException($"fp32 numbers can be written as F32, F16 or BF16, not as {dataType}.");
        }
    }

    private static void Convert<T>(ReadOnlySpan<byte> source, Span<float> destination)
        where T : unmanaged, System.Numerics.INumberBase<T> =>
        TensorPrimitives.ConvertTruncating(MemoryMarshal.Cast<byte, T>(source), destination);

    private static void Convert<T>(ReadOnlySpan<byte> source, Span<long> destination)
        where T : unmanaged, System.Numerics.INumberBase<T> =>
        TensorPrimitives.ConvertTruncating(MemoryMarshal.Cast<byte, T>(source), destination);

    // A bfloat16 is the upper half of an fp32.
    private static void DecodeBFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        var bits = MemoryMarshal.Cast<float, uint>(destination);
        var i = 0;
        for (; i <= source.Length - Vector256<ushort>.Count; i += Vector256<ushort>.Count)
        {
            var (lower, upper) = Vector256.Widen(Vector256.Create(source[i..]));
            (lower << 16).CopyTo(bits[i..]);
            (upper << 16).CopyTo(bits[(i + Vector256<uint>.Count)..]);
        }

        for (; i < source.Length; i++)
        {
            bits[i] = (uint)source[i] << 16;
        }
    }

    private static void EncodeBFloat16(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        for (var i = 0; i < source.Length; i++)
        {
            var bits = BitConverter.SingleToUInt32Bits(source[i]);
            destination[i] = float.IsNaN(source[i])
                ? (ushort)((bits >> 16) | 0x40) // stays a NaN when its low half is cut off
                : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }
}
