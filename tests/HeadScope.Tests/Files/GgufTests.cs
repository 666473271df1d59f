using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using TorchSharp;

namespace HeadScope.Tests;

public sealed class GgufTests : IDisposable
{
    /// <summary>ggml's number, block length and block size of every quantised type.</summary>
    private static readonly (string Name, uint Number, int Length, int Size)[] BlockTypes =
    [
        ("Q8_0", 8, 32, 34), ("Q4_0", 2, 32, 18), ("Q4_1", 3, 32, 20), ("Q5_0", 6, 32, 22), ("Q5_1", 7, 32, 24),
        ("Q4_K", 12, 256, 144), ("Q5_K", 13, 256, 176), ("Q6_K", 14, 256, 210),
    ];

    private static readonly (string Name, uint Number, int Length, int Size)[] AllTypes =
        [("F32", 0, 1, 4), ("F16", 1, 1, 2), ("BF16", 30, 1, 2), ("F64", 28, 1, 8), ("I8", 24, 1, 1), ("I32", 26, 1, 4), .. BlockTypes];

    private readonly TemporaryFolder folder = new();

    public static TheoryData<string> BlockTypeNames => [.. BlockTypes.Select(type => type.Name)];

    public static TheoryData<string> ReferenceTypes => ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(ReferenceTypes))]
    public void Reference_files_decode_bit_for_bit(string type)
    {
        using var expected = SafetensorsFile.Open(TestData.Shared("reference", "smollm2", "gguf", "expected.safetensors"));
        using var file = GgufFile.Open(TestData.Shared("reference", "smollm2", "gguf", type + ".gguf"));
        Assert.Equal(42u, file.Metadata["test.answer"]);
        Assert.Equal(["a", "ü", ""], Assert.IsType<string[]>(file.Metadata["test.strings"]));
        Assert.Equal("llama", file.Metadata["general.architecture"]);
        Assert.Equal([3L, 512], file.Tensors["test.weight"].Shape);
        Assert.Equal(type.ToUpperInvariant(), file.Tensors["test.weight"].Format.Name);
        AssertSameBits(expected.Values(type), file.Values("test.weight"));
    }

    [Fact]
    public void The_real_model_decodes_to_its_reference_values()
    {
        using var file = GgufFile.Open(TestData.Shared("models", "smollm2-135m-instruct", "model.gguf"));
        using var expected = SafetensorsFile.Open(TestData.Shared("reference", "smollm2", "expected.safetensors"));
        using var sums = JsonDocument.Parse(File.ReadAllText(TestData.Shared("reference", "smollm2", "expected.json")));
        var compared = 0;
        foreach (var tensor in sums.RootElement.GetProperty("dequantisation").EnumerateArray())
        {
            var name = tensor.GetProperty("tensor").GetString()!;
            var values = file.Values(name);
            Assert.Equal(tensor.GetProperty("type").GetString(), file.Tensors[name].Format.Name);
            Assert.Equal(tensor.GetProperty("shape").EnumerateArray().Select(length => length.GetInt64()), file.Tensors[name].Shape);
            AssertSameBits(expected.Values(tensor.GetProperty("first256").GetString()!), values.AsSpan(0, 256));
            var (sum, sumOfAbsolutes) = (values.Sum(value => (double)value), values.Sum(value => Math.Abs((double)value)));
            Assert.Equal(tensor.GetProperty("sum_float64").GetDouble(), sum, 1e-12 * sumOfAbsolutes);
            Assert.Equal(tensor.GetProperty("sum_abs_float64").GetDouble(), sumOfAbsolutes, 1e-12 * sumOfAbsolutes);
            compared++;
        }

        Assert.Equal(3, compared);
        Assert.Equal(49152, Assert.IsType<string[]>(file.Metadata["tokenizer.ggml.tokens"]).Length);
        Assert.Equal(49152, Assert.IsType<int[]>(file.Metadata["tokenizer.ggml.token_type"]).Length);
        Assert.Equal(100000f, file.Metadata["llama.rope.freq_base"]);
    }

    [Theory]
    [MemberData(nameof(BlockTypeNames))]
    public void Random_blocks_decode_as_the_scalar_definition_says(string name)
    {
        var type = BlockTypes.Single(type => type.Name == name);
        Check.QuickThrowOnFailure(Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var bytes = RandomBlocks(type, 4, seed);
            var path = Write(new GgufBytes().Tensor("t", type.Number, [type.Length, 4], bytes));
            using var file = GgufFile.Open(path);
            var expected = Enumerable.Range(0, 4).SelectMany(i => ScalarBlock(name, bytes.AsSpan(i * type.Size, type.Size))).ToArray();
            AssertSameBits(expected, file.Values("t"));
        }));
    }

    [Fact]
    public void Rows_are_that_part_of_the_whole_for_every_type()
    {
        var bytes = new GgufBytes();
        foreach (var type in AllTypes)
        {
            bytes.Tensor(type.Name, type.Number, [256, 5], RandomBlocks(type, 5 * 256 / type.Length, seed: 7));
            bytes.Tensor(type.Name + " flat", type.Number, [1280], RandomBlocks(type, 5 * 256 / type.Length, seed: 7));
        }

        using var scope = torch.NewDisposeScope();
        using var file = GgufFile.Open(Write(bytes));
        foreach (var (name, _, _, size) in AllTypes)
        {
            var whole = file.Values(name);
            Assert.Equal(size is 1 or 2 or 4 or 8 ? name : "F32", Stored(file.Read(name).dtype));
            Assert.Equal(file.Read(name).dtype, file.ReadRows(name, 1, 2).dtype);
            Check.QuickThrowOnFailure(Prop.ForAll(
                (from first in Gen.Choose(0, 5) from count in Gen.Choose(0, 5 - first) select (first, count)).ToArbitrary(),
                given =>
                {
                    using var inner = torch.NewDisposeScope();
                    var rows = file.ReadRows(name, given.first, given.count);
                    Assert.Equal([given.count, 256L], rows.shape);
                    AssertSameBits(whole.AsSpan(256 * given.first, 256 * given.count), Numbers(rows));
                }));

            // The rows of a tensor of one axis are its numbers, also inside of blocks.
            foreach (var (first, count) in new[] { (0, 1280), (3, 1), (31, 2), (250, 700), (1279, 1), (1280, 0) })
            {
                AssertSameBits(
                    whole.AsSpan(first, count), Numbers(file.ReadRows(name + " flat", first, count)));
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("Q4_K", 4, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("Q4_K", -1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("Q4_K", 1, -1));
        Assert.Contains("'none'", Assert.Throws<InvalidDataException>(() => file.Read("none")).Message, StringComparison.Ordinal);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Read("F32"));

        static float[] Numbers(torch.Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.to(torch.float32).bytes).ToArray();

        static string Stored(torch.ScalarType type) => type switch
        {
            torch.ScalarType.Float16 => "F16",
            torch.ScalarType.BFloat16 => "BF16",
            torch.ScalarType.Float64 => "F64",
            torch.ScalarType.Int8 => "I8",
            torch.ScalarType.Int32 => "I32",
            _ => "F32",
        };
    }

    [Fact]
    public void Metadata_keep_their_types()
    {
        var path = Write(new GgufBytes { Version = 2 }
            .Entry("u8", 0, [255]).Entry("i8", 1, [255]).Entry("u16", 2, BitConverter.GetBytes((ushort)65535))
            .Entry("i16", 3, BitConverter.GetBytes((short)-2)).Entry("u32", 4, BitConverter.GetBytes(uint.MaxValue))
            .Entry("i32", 5, BitConverter.GetBytes(-3)).Entry("f32", 6, BitConverter.GetBytes(1.5f)).Entry("yes", 7, [1])
            .Entry("text", 8, GgufBytes.Text("größe")).Entry("u64", 10, BitConverter.GetBytes(ulong.MaxValue))
            .Entry("i64", 11, BitConverter.GetBytes(long.MinValue)).Entry("f64", 12, BitConverter.GetBytes(0.1))
            .Entry("flags", 9, BitConverter.GetBytes(7), BitConverter.GetBytes(2L), [1, 0])
            .Entry("floats", 9, BitConverter.GetBytes(6), BitConverter.GetBytes(1L), BitConverter.GetBytes(2f))
            .Entry("nested", 9, BitConverter.GetBytes(9), BitConverter.GetBytes(1L),
                BitConverter.GetBytes(5), BitConverter.GetBytes(2L), BitConverter.GetBytes(8), BitConverter.GetBytes(9)));
        using var file = GgufFile.Open(path);
        object[] expected = [(byte)255, (sbyte)-1, (ushort)65535, (short)-2, uint.MaxValue, -3, 1.5f, true, "größe", ulong.MaxValue, long.MinValue, 0.1];
        string[] keys = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "yes", "text", "u64", "i64", "f64"];
        Assert.Equal(expected, keys.Select(key => file.Metadata[key]));
        Assert.Equal([true, false], Assert.IsType<bool[]>(file.Metadata["flags"]));
        Assert.Equal([2f], Assert.IsType<float[]>(file.Metadata["floats"]));
        Assert.Equal([8, 9], Assert.IsType<int[]>(Assert.Single(Assert.IsType<object[]>(file.Metadata["nested"]))));
        Assert.Empty(file.Tensors);
    }

    [Fact]
    public void The_alignment_key_moves_the_data()
    {
        var bytes = new GgufBytes { Alignment = 256 }.Entry("general.alignment", 4, BitConverter.GetBytes(256u))
            .Tensor("a", 0, [1], BitConverter.GetBytes(1.25f)).Tensor("b", 0, [1], BitConverter.GetBytes(-3f));
        using var file = GgufFile.Open(Write(bytes));
        Assert.Equal([1.25f], file.Values("a"));
        Assert.Equal([-3f], file.Values("b"));
    }

    public static TheoryData<string, byte[], string> Damaged
    {
        get
        {
            var one = new byte[4];
            var big = new GgufBytes().ToArray();
            BinaryPrimitives.WriteUInt32BigEndian(big.AsSpan(4), 3);
            var tensors = new GgufBytes().ToArray();
            BinaryPrimitives.WriteUInt64LittleEndian(tensors.AsSpan(8), ulong.MaxValue);
            var entries = new GgufBytes().ToArray();
            BinaryPrimitives.WriteUInt64LittleEndian(entries.AsSpan(16), 1_000_000);
            return new()
            {
                { "empty", [], "found " },
                { "not GGUF", "PK\u0003\u0004zip"u8.ToArray(), "found 504B0304" },
                { "pointer", "version https://git-lfs.github.com/spec/v1\noid"u8.ToArray(), "git lfs pull" },
                { "future version", new GgufBytes { Version = 4 }.ToArray(), "version 4" },
                { "absurd tensors", tensors, "18446744073709551615 tensors" },
                { "absurd entries", entries, "1000000 entries" },
                { "absurd string", new GgufBytes().Entry("k", 8, BitConverter.GetBytes(long.MaxValue)).ToArray(), "bytes of k" },
                { "absurd array", new GgufBytes().Entry("k", 9, BitConverter.GetBytes(12), BitConverter.GetBytes(long.MaxValue)).ToArray(), "entries of k" },
                { "unknown value type", new GgufBytes().Entry("k", 13, [0]).ToArray(), "type 13" },
                { "bool of 2", new GgufBytes().Entry("k", 7, [2]).ToArray(), "found 2" },
                { "key twice", new GgufBytes().Entry("k", 7, [1]).Entry("k", 7, [1]).ToArray(), "'k' twice" },
                { "deep nesting", new GgufBytes().Entry("k", 9, [.. Enumerable.Repeat((byte[])[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 9)]).ToArray(), "nested too deeply" },
                { "alignment", new GgufBytes().Entry("general.alignment", 4, BitConverter.GetBytes(0)).ToArray(), "found 0" },
                { "alignment of 48", new GgufBytes().Entry("general.alignment", 4, BitConverter.GetBytes(48)).ToArray(), "found 48" },
                { "unknown tensor type", new GgufBytes().Tensor("t", 77, [1], one).ToArray(), "unknown type 77" },
                { "five dimensions", new GgufBytes().Tensor("t", 0, [1, 1, 1, 1, 1], one).ToArray(), "5 dimensions" },
                { "negative length", new GgufBytes().Tensor("t", 0, [-1], one).ToArray(), "negative" },
                { "absurd shape", new GgufBytes().Tensor("t", 0, [1L << 40, 1L << 40], one).ToArray(), "more than 2^63 bytes" },
                { "absurd shape hidden by 0", new GgufBytes().Tensor("t", 0, [0, 1L << 40, 1L << 40], one).ToArray(), "more than 2^63 bytes" },
                { "part of a block", new GgufBytes().Tensor("t", 12, [128, 2], new byte[144]).ToArray(), "multiple of 256" },
                { "beyond the end", new GgufBytes().Tensor("t", 0, [2], one).ToArray(), "of the data, which has 4" },
                { "not aligned", new GgufBytes().Tensor("t", 0, [1], new byte[64], offset: 4).ToArray(), "multiple of 32" },
                { "offset far out", new GgufBytes().Tensor("t", 0, [1], one, offset: ulong.MaxValue - 31).ToArray(), "of the data, which has 4" },
                { "overlap", new GgufBytes().Tensor("a", 0, [9], new byte[36]).Tensor("b", 0, [1], one, offset: 32).ToArray(), "overlaps tensor 'a', which ends at 36" },
                { "name twice", new GgufBytes().Tensor("a", 0, [1], one).Tensor("a", 0, [1], one).ToArray(), "two tensors named 'a'" },
            };
        }
    }

    [Theory]
    [MemberData(nameof(Damaged))]
    public void Damage_is_named(string what, byte[] bytes, string said)
    {
        var path = folder["damaged.gguf"];
        File.WriteAllBytes(path, bytes);
        var error = Assert.Throws<InvalidDataException>(() => GgufFile.Open(path));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Fact]
    public void What_is_whole_but_not_read_here_is_refused_by_name()
    {
        var big = new GgufBytes().ToArray();
        BinaryPrimitives.WriteUInt32BigEndian(big.AsSpan(4), 3);
        Refused(big, "big-endian");
        Refused(new GgufBytes { Version = 1 }.ToArray(), "version 1");
        Refused(new GgufBytes().Tensor("t", 10, [256], new byte[84]).ToArray(), "tensor 't' is stored as Q2_K");
        Refused(new GgufBytes().Entry("split.count", 2, BitConverter.GetBytes((ushort)3)).ToArray(), "one of 3 parts");
        Assert.Throws<FileNotFoundException>(() => GgufFile.Open(folder["none.gguf"]));

        void Refused(byte[] bytes, string said)
        {
            File.WriteAllBytes(folder["other.gguf"], bytes);
            Assert.Contains(said, Assert.Throws<NotSupportedException>(() => GgufFile.Open(folder["other.gguf"])).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_cut_file_is_refused_at_every_length_and_flipped_bytes_never_crash()
    {
        var whole = new GgufBytes().Entry("general.architecture", 8, GgufBytes.Text("llama"))
            .Entry("tokens", 9, BitConverter.GetBytes(8), BitConverter.GetBytes(2L), GgufBytes.Text("a"), GgufBytes.Text("bc"))
            .Tensor("blk.0.attn_q.weight", 2, [32, 2], new byte[36]).Tensor("x", 0, [2], [1, 2, 3, 4, 5, 6, 7, 8]).ToArray();
        var path = folder["damaged.gguf"];
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains(path, Assert.Throws<InvalidDataException>(() => GgufFile.Open(path)).Message, StringComparison.Ordinal);
        }

        var refused = FlippedBytes.Refused(path, whole, whole.Length, GgufFile.Open);
        Assert.True(refused > 1000, $"only {refused} of 2000 damaged files were refused");
    }

    private static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> found)
    {
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(found[i]))
            {
                Assert.Fail($"number {i}: expected {expected[i]:R}, found {found[i]:R}");
            }
        }
    }

    /// <summary>Random bytes in which whatever is a half or a floating-point number is finite.</summary>
    private static byte[] RandomBlocks((string Name, uint Number, int Length, int Size) type, int count, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[count * type.Size];
        random.NextBytes(bytes);
        int[] halves = type.Name switch
        {
            "Q6_K" => [208],
            "Q4_1" or "Q5_1" or "Q4_K" or "Q5_K" => [0, 2],
            "F32" or "F64" or "I8" or "I32" => [],
            _ => [0],
        };
        for (var block = 0; block < count; block++)
        {
            var span = bytes.AsSpan(block * type.Size, type.Size);
            foreach (var at in halves)
            {
                BinaryPrimitives.WriteHalfLittleEndian(span[at..], (Half)((random.NextSingle() - 0.5f) * 4));
            }

            switch (type.Name)
            {
                case "F32": BinaryPrimitives.WriteSingleLittleEndian(span, random.NextSingle()); break;
                case "F64": BinaryPrimitives.WriteDoubleLittleEndian(span, random.NextDouble()); break;
            }
        }

        return bytes;
    }

    /// <summary>The definition of each kind of block, number by number.</summary>
    private static float[] ScalarBlock(string type, ReadOnlySpan<byte> block)
    {
        var d = (float)BinaryPrimitives.ReadHalfLittleEndian(type == "Q6_K" ? block[208..] : block);
        var m = (float)BinaryPrimitives.ReadHalfLittleEndian(block[2..]);
        var values = new float[type.EndsWith('K') ? 256 : 32];
        for (var i = 0; i < values.Length; i++)
        {
            var low = i % 32 < 16;
            int Nibble(ReadOnlySpan<byte> nibbles) => low ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
            int SubBlockNibble(ReadOnlySpan<byte> nibbles) => (nibbles[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15;
            values[i] = type switch
            {
                "Q8_0" => (sbyte)block[2 + i] * d,
                "Q4_0" => (Nibble(block[2..]) - 8) * d,
                "Q4_1" => Rounded(Nibble(block[4..]) * d) + m,
                "Q5_0" => ((Nibble(block[6..]) | (((block[2 + (i / 8)] >> (i % 8)) & 1) << 4)) - 16) * d,
                "Q5_1" => Rounded((Nibble(block[8..]) | (((block[4 + (i / 8)] >> (i % 8)) & 1) << 4)) * d) + m,
                "Q4_K" => Rounded(Rounded(d * SixBits(block[4..16], i / 32, 0)) * SubBlockNibble(block[16..]))
                    - Rounded(m * SixBits(block[4..16], i / 32, 4)),
                "Q5_K" => Rounded(Rounded(d * SixBits(block[4..16], i / 32, 0))
                        * (SubBlockNibble(block[48..]) | (((block[16 + (i % 32)] >> (i / 32)) & 1) << 4)))
                    - Rounded(m * SixBits(block[4..16], i / 32, 4)),
                _ => Rounded(d * (sbyte)block[192 + (i / 16)])
                    * ((((block[(i / 128 * 64) + (i % 64)] >> (i / 64 % 2 * 4)) & 15)
                        | (((block[128 + (i / 128 * 32) + (i % 32)] >> (i / 32 % 4 * 2)) & 3) << 4)) - 32),
            };
        }

        return values;

        static float Rounded(float value) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value));

        // 16 numbers of 6 bits in 12 bytes: the first four of each kind whole, the upper two bits of the others above them.
        static int SixBits(ReadOnlySpan<byte> scales, int index, int kind) => index < 4
            ? scales[index + kind] & 63
            : ((scales[index + 4] >> kind) & 15) | (scales[index - 4 + kind] >> 6 << 4);
    }

    private string Write(GgufBytes bytes)
    {
        File.WriteAllBytes(folder["test.gguf"], bytes.ToArray());
        return folder["test.gguf"];
    }
}
