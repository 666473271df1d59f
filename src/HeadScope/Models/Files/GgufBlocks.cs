using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace HeadScope;

/// <summary>Decodes ggml's blocks of quantised numbers (ggml, <c>ggml-common.h</c> and <c>ggml-quants.c</c>, <c>dequantize_row_*</c>). Products
/// and sums round separately, never fused, so that results are those of the scalar definition bit for bit on every processor.</summary>
/// <remarks>In the types of 32 numbers the low nibble of byte j is number j, the high nibble number j + 16. In Q4_K and Q5_K 32 bytes hold the 32
/// numbers of one sub-block in their low nibbles and the next sub-block's in their high ones.</remarks>
internal static class GgufBlocks
{
    private delegate void Block(ReadOnlySpan<byte> block, Span<float> destination);

    /// <summary>The kinds of blocks that can be read.</summary>
    public static NumberFormat[] Formats =>
    [
        Format("Q8_0", 32, 34, Q8),
        Format("Q4_0", 32, 18, Small),
        Format("Q4_1", 32, 20, Small),
        Format("Q5_0", 32, 22, Small),
        Format("Q5_1", 32, 24, Small),
        Format("Q4_K", 256, 144, Large),
        Format("Q5_K", 256, 176, Large),
        Format("Q6_K", 256, 210, Q6),
    ];

    private static NumberFormat Format(string name, int length, int size, Block decode) =>
        new(name, length, size, ScalarType.Float32, (source, bytes) => Decode(source, MemoryMarshal.Cast<byte, float>(bytes), length, size, decode));

    // A model is decoded once, mostly before the runtime would find out that this is worth optimising.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Decode(ReadOnlySpan<byte> source, Span<float> destination, int length, int size, Block decode)
    {
        for (; !destination.IsEmpty; destination = destination[length..], source = source[size..])
        {
            decode(source[..size], destination[..length]);
        }
    }

    private static float Scale(ReadOnlySpan<byte> block, int offset) => (float)BinaryPrimitives.ReadHalfLittleEndian(block[offset..]);

    private static Vector128<byte> Low(Vector128<byte> nibbles) => nibbles & Vector128.Create((byte)0xF);

    private static Vector128<byte> High(Vector128<byte> nibbles) => Vector128.ShiftRightLogical(nibbles, 4);

    /// <summary>Writes 16 × (quant · scale).</summary>
    private static void Store(Vector128<sbyte> quants, float scale, Span<float> destination)
    {
        var (first, second) = ToSingle(quants);
        (first * scale).CopyTo(destination);
        (second * scale).CopyTo(destination[8..]);
    }

    /// <summary>Writes 16 × (quant · scale + offset), rounded twice.</summary>
    private static void Store(Vector128<byte> quants, float scale, float offset, Span<float> destination)
    {
        var (first, second) = ToSingle(quants.AsSByte());
        var offsets = Vector256.Create(offset);
        ((first * scale) + offsets).CopyTo(destination);
        ((second * scale) + offsets).CopyTo(destination[8..]);
    }

    private static (Vector256<float> First, Vector256<float> Second) ToSingle(Vector128<sbyte> quants)
    {
        var (first, second) = Vector128.Widen(quants);
        return (Vector256.ConvertToSingle(Vector256.WidenLower(first.ToVector256())),
            Vector256.ConvertToSingle(Vector256.WidenLower(second.ToVector256())));
    }

    /// <summary>Bit j of 16 bits as the value 16 of byte j: the fifth bit of a quant.</summary>
    private static Vector128<byte> FifthBits(int bits)
    {
        // Each byte gets the half of the 16 bits that holds its bit, and keeps that bit alone.
        var spread = Vector128.Shuffle(
            Vector128.Create((ushort)bits).AsByte(), Vector128.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
        var own = Vector128.Create((byte)1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);
        return Vector128.Equals(spread & own, own) & Vector128.Create((byte)16);
    }

    // Half d; 32 signed bytes q: q·d.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Q8(ReadOnlySpan<byte> block, Span<float> destination)
    {
        var d = Scale(block, 0);
        Store(Vector128.Create(block[2..]).AsSByte(), d, destination);
        Store(Vector128.Create(block[18..]).AsSByte(), d, destination[16..]);
    }

    // Half d, with an offset half m; where q has five bits, 32 with the fifth of each; 16 bytes of nibbles: (q - 8)·d, (q - 16)·d, or q·d + m.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Small(ReadOnlySpan<byte> block, Span<float> destination)
    {
        var (hasOffset, hasFive) = (block.Length is 20 or 24, block.Length is 22 or 24);
        var d = Scale(block, 0);
        var nibbles = Vector128.Create(block[^16..]);
        var (low, high) = (Low(nibbles), High(nibbles));
        if (hasFive)
        {
            var bits = BinaryPrimitives.ReadInt32LittleEndian(block[^20..]);
            (low, high) = (low | FifthBits(bits), high | FifthBits(bits >> 16));
        }

        if (hasOffset)
        {
            var m = Scale(block, 2);
            Store(low, d, m, destination);
            Store(high, d, m, destination[16..]);
        }
        else
        {
            var middle = Vector128.Create((sbyte)(hasFive ? 16 : 8));
            Store(low.AsSByte() - middle, d, destination);
            Store(high.AsSByte() - middle, d, destination[16..]);
        }
    }

    // Halves d, dmin; 12 bytes with 8 scales and 8 minima of 6 bits; where q has five bits, 32 bytes of which bit s of byte j is the fifth of number
    // j of sub-block s; 128 bytes of nibbles: (d·scale)·q - dmin·minimum.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Large(ReadOnlySpan<byte> block, Span<float> destination)
    {
        var hasFive = block.Length == 176;
        var (d, minimum) = (Scale(block, 0), Scale(block, 2));
        var scales = block.Slice(4, 12);
        for (var pair = 0; pair < 4; pair++)
        {
            var (lowScale, lowOffset) = ScaleAndOffset(scales, 2 * pair, d, minimum);
            var (highScale, highOffset) = ScaleAndOffset(scales, (2 * pair) + 1, d, minimum);
            for (var half = 0; half < 32; half += 16)
            {
                var nibbles = Vector128.Create(block[(block.Length - 128 + (32 * pair) + half)..]);
                var (low, high) = (Low(nibbles), High(nibbles));
                if (hasFive)
                {
                    var bits = Vector128.ShiftRightLogical(Vector128.Create(block[(16 + half)..]), 2 * pair);
                    low |= (bits & Vector128<byte>.One) << 4;
                    high |= (bits & Vector128.Create((byte)2)) << 3;
                }

                Store(low, lowScale, lowOffset, destination[((64 * pair) + half)..]);
                Store(high, highScale, highOffset, destination[((64 * pair) + 32 + half)..]);
            }
        }
    }

    // 128 bytes with the low nibbles, 64 with the two high bits, 16 signed scales, half d: (d·scale)·(q - 32), a scale for 16 numbers.
    // Each half of the block is its own: 64 bytes of nibbles, 32 of high bits, 8 scales for 4 × 32 numbers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Q6(ReadOnlySpan<byte> block, Span<float> destination)
    {
        var d = Scale(block, 208);
        var middle = Vector128.Create((sbyte)32);
        var mask = Vector128.Create((byte)0x30);
        for (var half = 0; half < 2; half++)
        {
            for (var part = 0; part < 2; part++) // numbers 0-15 and 16-31 of each 32
            {
                var firstNibbles = Vector128.Create(block[((64 * half) + (16 * part))..]);
                var secondNibbles = Vector128.Create(block[((64 * half) + 32 + (16 * part))..]);
                var bits = Vector128.Create(block[(128 + (32 * half) + (16 * part))..]);
                var scales = block[(192 + (8 * half) + part)..];
                var to = destination[((128 * half) + (16 * part))..];
                Store((Low(firstNibbles) | ((bits << 4) & mask)).AsSByte() - middle, d * (sbyte)scales[0], to);
                Store((Low(secondNibbles) | ((bits << 2) & mask)).AsSByte() - middle, d * (sbyte)scales[2], to[32..]);
                Store((High(firstNibbles) | (bits & mask)).AsSByte() - middle, d * (sbyte)scales[4], to[64..]);
                Store((High(secondNibbles) | (Vector128.ShiftRightLogical(bits, 2) & mask)).AsSByte() - middle, d * (sbyte)scales[6], to[96..]);
            }
        }
    }

    // The six bits of scales and minima 0-3 are the low ones of bytes 0-3 and 4-7, whose two high bits belong to 4-7.
    private static (float Scale, float Offset) ScaleAndOffset(ReadOnlySpan<byte> scales, int index, float d, float minimum)
    {
        var (scale, offset) = index < 4
            ? (scales[index] & 63, scales[index + 4] & 63)
            : ((scales[index + 4] & 0xF) | (scales[index - 4] >> 6 << 4), (scales[index + 4] >> 4) | (scales[index] >> 6 << 4));
        return (d * scale, -(minimum * offset));
    }
}
