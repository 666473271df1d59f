using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using TorchSharp;

namespace HeadScope.Tests;

public sealed class SafetensorsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Tensors_metadata_and_integers_come_back()
    {
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(
            folder["x.safetensors"],
            new Dictionary<string, torch.Tensor>
            {
                ["b"] = torch.tensor([1f, 2, 3, 4, 5, 6], [2, 3]),
                ["ids"] = torch.tensor(new long[] { 1, -2, long.MaxValue, 4 }, [2, 2]),
                ["scalar"] = torch.tensor(7.5f),
                ["nothing"] = torch.empty(0, 4),
                ["half \"ü\""] = torch.tensor([1f / 3, -65504]).to(torch.float16),
            },
            new Dictionary<string, string> { ["made"] = "for a test\n" });

        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal(5, file.Tensors.Count);
        Assert.Equal([2L, 3], file.Tensors["b"].Shape);
        Assert.Equal([1f, 2, 3, 4, 5, 6], file.Values("b"));
        Assert.Equal([1L, -2, long.MaxValue, 4], file.Integers("ids"));
        Assert.Empty(file.Tensors["scalar"].Shape);
        Assert.Equal([7.5f], file.Values("scalar"));
        Assert.Equal([0L, 4], file.Read("nothing").shape);
        Assert.Equal([(float)(Half)(1f / 3), -65504], file.Values("half \"ü\""));
        Assert.Equal("for a test\n", file.Metadata["made"]);
        Assert.Equal(0, BitConverter.ToInt64(File.ReadAllBytes(folder["x.safetensors"]), 0) % 8);
    }

    [Fact]
    public void A_strided_view_is_written_in_its_own_order()
    {
        using var scope = torch.NewDisposeScope();
        var tensor = torch.tensor([1f, 2, 3, 4, 5, 6], [2, 3]);
        SafetensorsWriter.Write(folder["x.safetensors"], new Dictionary<string, torch.Tensor>
        {
            ["transposed"] = tensor.t(),
            ["columns"] = tensor.narrow(1, 1, 2),
        });
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal([1f, 4, 2, 5, 3, 6], file.Values("transposed"));
        Assert.Equal([2f, 3, 5, 6], file.Values("columns"));
    }

    [Fact]
    public void A_tensor_with_lengths_of_one_is_written_whole()
    {
        // The scale of a norm is [batch, position, 1].
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(folder["x.safetensors"], new Dictionary<string, torch.Tensor>
        {
            ["scale"] = torch.tensor([1f, 2, 3], [1, 3, 1]),
            ["one"] = torch.tensor([4f], [1, 1, 1]),
        });
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal([1L, 3, 1], file.Tensors["scale"].Shape);
        Assert.Equal([1f, 2, 3], file.Values("scale"));
        Assert.Equal([4f], file.Values("one"));
    }

    [Fact]
    public void What_is_written_and_read_is_the_same_for_any_names_shapes_and_types()
    {
        var text = ArbMap.Default.GeneratorFor<NonNull<string>>().Select(t => t.Get)
            .Where(t => t.EnumerateRunes().All(rune => rune != Rune.ReplacementChar) && t != "__metadata__");
        var shape = Gen.Choose(0, 5).ListOf().Where(lengths => lengths.Count <= 4);
        var tensor = from name in text
                     from lengths in shape
                     from type in Gen.Elements("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")
                     from seed in Gen.Choose(0, int.MaxValue)
                     select (Name: name, Lengths: lengths.Select(l => (long)l).ToArray(), Type: type, Seed: seed);
        var all = from tensors in tensor.ListOf()
                  from key in text
                  from value in text
                  select (Tensors: tensors.DistinctBy(t => t.Name).ToList(), Key: key, Value: value);
        var path = folder["random.safetensors"];
        Check.QuickThrowOnFailure(Prop.ForAll(all.ToArbitrary(), given =>
        {
            using var scope = torch.NewDisposeScope();
            var written = new Dictionary<string, torch.Tensor>();
            foreach (var (name, lengths, type, seed) in given.Tensors)
            {
                // Whole numbers up to 100 are exact in every type; a permuted tensor is strided.
                var random = new Random(seed);
                var numbers = Enumerable.Range(0, (int)lengths.Aggregate(1L, (a, b) => a * b)).Select(_ => (double)random.Next(0, 101)).ToArray();
                var tensor = torch.tensor(numbers, lengths).to(TypeOf(type));
                written[name] = seed % 2 == 0 ? tensor : tensor.permute([.. Enumerable.Range(0, lengths.Length).Reverse().Select(axis => (long)axis)]);
            }

            SafetensorsWriter.Write(path, written, new Dictionary<string, string> { [given.Key] = given.Value });
            using var file = SafetensorsFile.Open(path);
            Assert.Equal(given.Tensors.Count, file.Tensors.Count);
            Assert.Equal(given.Value, file.Metadata[given.Key]);
            foreach (var (name, _, type, _) in given.Tensors)
            {
                Assert.Equal(written[name].shape, file.Tensors[name].Shape);
                Assert.Equal(type, file.Tensors[name].Format.Name);
                Assert.Equal(TypeOf(type), file.Read(name).dtype);
                Assert.True(file.Read(name).is_contiguous());
                Assert.True(file.Read(name).Equals(written[name]));
            }
        }));
    }

    [Fact]
    public void A_cut_or_damaged_file_is_refused_and_never_crashes()
    {
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(
            folder["whole.safetensors"],
            new Dictionary<string, torch.Tensor>
            {
                ["model.weight"] = torch.zeros(4, 6, dtype: torch.float16),
                ["ids"] = torch.tensor(new long[] { 1, 2, 3 }),
            },
            new Dictionary<string, string> { ["format"] = "pt" });
        var whole = File.ReadAllBytes(folder["whole.safetensors"]);
        var headerEnd = 8 + (int)BitConverter.ToInt64(whole, 0);
        var path = folder["damaged.safetensors"];
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains(path, Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path)).Message, StringComparison.Ordinal);
        }

        var refused = FlippedBytes.Refused(path, whole, headerEnd, SafetensorsFile.Open);
        Assert.True(refused > 1000, $"only {refused} of 2000 damaged headers were refused");
    }

    public static TheoryData<string, string, int, string[]> Malformed => new()
    {
        { "not JSON", "{\"a\":", 0, ["not valid JSON"] },
        { "not an object", "[1]", 0, ["expected an object", "[1]"] },
        { "unknown type", """{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}""", 4, ["'a.dtype' = \"F33\""] },
        { "bytes and shape differ", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, ["'a'", "8 bytes", "hold 4"] },
        { "negative length", """{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, ["'a.shape[0]' = -1"] },
        { "fraction", """{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""", 4, ["'a.shape[0]' = 1.5"] },
        { "absurd shape", """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}""", 4, ["'a'", "2^63"] },
        { "absurd shape hidden by 0", """{"a":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}""", 0, ["'a'", "2^63"] },
        { "offsets turned round", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[4,3]}}""", 4, ["'a.data_offsets' = [4,3]"] },
        { "beyond the end", """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, ["'a'", "0 to 8 of the data, which has 4", "cut"] },
        { "overlap", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", 6, ["'b'", "overlaps tensor 'a'"] },
        { "gap", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}""", 6, ["'b'", "gap"] },
        { "bytes left over", """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 6, ["end at byte 4", "6 bytes"] },
        { "name twice", """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, ["two tensors named 'a'"] },
        { "missing field", """{"a":{"dtype":"U8","shape":[1]}}""", 1, ["has no 'a.data_offsets'"] },
        { "metadata not text", """{"__metadata__":{"k":1}}""", 0, ["'__metadata__.k' = 1; expected a text"] },
        { "half a surrogate pair", """{"\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}""", 0, ["half a surrogate pair"] },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void A_wrong_header_is_refused_with_what_was_expected_and_found(string what, string header, int dataLength, string[] said)
    {
        var path = WriteRaw("wrong.safetensors", header, dataLength);
        var error = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.All(said, part => Assert.True(error.Message.Contains(part, StringComparison.Ordinal), $"{what}: {error.Message}"));
    }

    [Theory]
    [InlineData(100_000_001UL, "more than the format allows")]
    [InlineData(ulong.MaxValue, "more than the format allows")]
    [InlineData(1000UL, "does not fit into the file's 16")]
    public void A_header_that_cannot_be_there_is_refused(ulong length, string said)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(folder["x.safetensors"], bytes);
        Assert.Contains(said, Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder["x.safetensors"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_git_lfs_pointer_is_recognised()
    {
        File.WriteAllText(folder["model.safetensors"], "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
        Assert.Contains("git lfs pull", Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shards_are_joined_and_their_faults_are_named()
    {
        SafetensorsWriter.Write(folder["one.safetensors"], new Dictionary<string, torch.Tensor> { ["a"] = torch.tensor([1f], [1]) });
        SafetensorsWriter.Write(folder["two.safetensors"], new Dictionary<string, torch.Tensor> { ["b"] = torch.tensor([2f], [1]) });
        var index = folder["model.safetensors.index.json"];
        File.WriteAllText(index, """{"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}""");
        using (var file = SafetensorsFile.Open(folder.Path))
        {
            Assert.Equal([1f], file.Values("a"));
            Assert.Equal([2f], file.Values("b"));
        }

        Refused("""{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}""", "'b' in 'one.safetensors', which has no such tensor");
        Refused("""{"weight_map":{"a":"three.safetensors"}}""", "'three.safetensors', which is not in its folder");
        Refused("""{"weight_map":{"a":"../one.safetensors"}}""", "the name of a shard beside the index");
        Refused("""{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}""", "lists tensor 'a' twice");
        Refused("{}", "weight_map");

        void Refused(string json, string said)
        {
            File.WriteAllText(index, json);
            Assert.Contains(said, Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(index)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_folder_without_weights_says_what_is_missing()
    {
        Assert.Contains("model.safetensors", Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(folder.Path)).Message, StringComparison.Ordinal);
        File.WriteAllText(folder["pytorch_model.bin"], "x");
        Assert.Contains("safe_serialization", Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(folder.Path)).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(folder["none.safetensors"]));
    }

    [Fact]
    public void Every_plain_type_is_decoded()
    {
        byte[] data = [.. BitConverter.GetBytes(0.1), .. BitConverter.GetBytes(-3L), .. BitConverter.GetBytes(ulong.MaxValue),
            .. BitConverter.GetBytes(-7), .. BitConverter.GetBytes(4_000_000_000), .. BitConverter.GetBytes((short)-9),
            .. BitConverter.GetBytes((ushort)65535), 0xC0, 0x3F, 0xFE, 1, 200];
        string[] entries = ["F64", "I64", "U64", "I32", "U32", "I16", "U16", "BF16", "I8", "BOOL", "U8"];
        int[] sizes = [8, 8, 8, 4, 4, 2, 2, 2, 1, 1, 1];
        var offset = 0;
        var header = new StringBuilder("{");
        for (var i = 0; i < entries.Length; i++)
        {
            header.Append($$$"""{{{(i > 0 ? "," : "")}}}"{{{entries[i]}}}":{"dtype":"{{{entries[i]}}}","shape":[1],"data_offsets":[{{{offset}}},{{{offset += sizes[i]}}}]}""");
        }

        var path = WriteRaw("x.safetensors", header.Append('}').ToString(), data);
        using var file = SafetensorsFile.Open(path);
        double[] expected = [0.1, -3, -7, 4_000_000_000, -9, 65535, 1.5, -2, 1, 200];
        string[] readable = [.. entries.Where(name => name != "U64")];
        using var scope = torch.NewDisposeScope();
        Assert.Equal(expected, readable.Select(name => file.Read(name).to(torch.float64).data<double>()[0]));
        Assert.Equal(
            [torch.float64, torch.int64, torch.int32, torch.int64, torch.int16, torch.int32, torch.bfloat16, torch.int8, torch.@bool, torch.uint8],
            readable.Select(name => file.Read(name).dtype));
        Assert.Contains("'U64' is stored as U64", Assert.Throws<NotSupportedException>(() => file.Read("U64")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F16")]
    [InlineData("BF16")]
    public void Half_precision_types_decode_every_pattern_and_round_to_nearest_even(string type)
    {
        var path = WriteRaw(
            "x.safetensors",
            $$$"""{"a":{"dtype":"{{{type}}}","shape":[65536],"data_offsets":[0,131072]}}""",
            [.. Enumerable.Range(0, 65536).SelectMany(i => BitConverter.GetBytes((ushort)i))]);
        using var file = SafetensorsFile.Open(path);
        var values = file.Values("a");
        for (var i = 0; i < 65536; i++)
        {
            var expected = type == "F16" ? (float)BitConverter.UInt16BitsToHalf((ushort)i) : BitConverter.UInt32BitsToSingle((uint)i << 16);
            Assert.Equal(expected, values[i]);
        }

        var finite = values.Where(float.IsFinite).ToArray();
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(folder["y.safetensors"], new Dictionary<string, torch.Tensor>
        {
            ["same"] = torch.tensor(finite).to(TypeOf(type)),
            ["rounded"] = torch.tensor([1 + 1f / 4096, 1 + 3f / 4096, 1 + 1f / 512, 1 + 3f / 256, float.NaN]).to(TypeOf(type)),
        });
        using var again = SafetensorsFile.Open(folder["y.safetensors"]);
        Assert.Equal(finite, again.Values("same"));
        Assert.Equal(
            type == "F16" ? [1, 1 + 1f / 1024, 1 + 1f / 512, 1 + 3f / 256, float.NaN] : [1, 1, 1, 1 + 4f / 256, float.NaN],
            again.Values("rounded"));
    }

    [Fact]
    public void Rows_are_that_part_of_the_whole()
    {
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(folder["x.safetensors"], new Dictionary<string, torch.Tensor>
        {
            ["a"] = torch.arange(1000, torch.float16).view(10, 100),
            ["scalar"] = torch.tensor(1f),
        });
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        var rows = file.ReadRows("a", 5, 3);
        Assert.Equal((torch.float16, "3,100"), (rows.dtype, string.Join(',', rows.shape)));
        Assert.Equal(Enumerable.Range(500, 300).Select(i => (float)i), rows.to(torch.float32).data<float>().ToArray());
        Assert.Equal([0L, 100], file.ReadRows("a", 10, 0).shape);
        Assert.Contains("has 10 rows", Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("a", 8, 3)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("a", -1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("scalar", 0, 1));
        Assert.Contains("'b'", Assert.Throws<InvalidDataException>(() => file.Read("b")).Message, StringComparison.Ordinal);
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Read("a"));
    }

    [Fact]
    public void A_tensor_of_several_chunks_is_written_and_read_whole_also_as_a_view()
    {
        using var scope = torch.NewDisposeScope();
        var whole = torch.arange(3 * 700 * 2000, torch.int32).view(3, 700, 2000);
        SafetensorsWriter.Write(folder["x.safetensors"], new Dictionary<string, torch.Tensor>
        {
            ["whole"] = whole,
            ["turned"] = whole.permute(2, 0, 1),
            ["one row"] = whole.view(1, -1).to(torch.float64),
        });
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        Assert.Equal(["one row", "turned", "whole"], file.Tensors.Keys);
        Assert.True(file.Read("whole").Equals(whole));
        Assert.True(file.Read("turned").Equals(whole.permute(2, 0, 1)));
        Assert.True(file.Read("one row").to(torch.int32).Equals(whole.view(1, -1)));
        Assert.True(file.ReadRows("whole", 1, 2).Equals(whole.narrow(0, 1, 2)));
    }

    [Fact]
    public void A_tensor_belongs_to_the_scope_of_the_caller_and_nothing_else_is_left()
    {
        using var scope = torch.NewDisposeScope();
        SafetensorsWriter.Write(folder["x.safetensors"], new Dictionary<string, torch.Tensor> { ["a"] = torch.ones(6, 4) });
        using var file = SafetensorsFile.Open(folder["x.safetensors"]);
        var before = scope.DisposablesCount;
        torch.Tensor a, rows;
        using (var inner = torch.NewDisposeScope())
        {
            a = file.Read("a");
            rows = file.ReadRows("a", 1, 2).DetachFromDisposeScope();
            Assert.Equal(1, inner.DisposablesCount);
        }

        Assert.True(a.IsInvalid);
        Assert.False(rows.IsInvalid || rows.requires_grad);
        Assert.Equal(before, scope.DisposablesCount);
        rows.Dispose();
    }

    [Fact]
    public void The_writer_refuses_what_a_file_cannot_hold()
    {
        using var one = torch.ones(1);
        using var complex = torch.zeros(1, dtype: torch.ScalarType.ComplexFloat32);
        Refused("There are two tensors 'a'", ("a", one), ("a", one));
        Refused("'__metadata__' cannot be a tensor's name", ("__metadata__", one));
        Refused("half a surrogate pair", ("\ud800", one));
        Refused("'b': safetensors has no name for numbers of type ComplexFloat32", ("b", complex));
        Assert.False(File.Exists(folder["x.safetensors"]));

        void Refused(string said, params (string Name, torch.Tensor Tensor)[] tensors)
        {
            var error = Assert.Throws<ArgumentException>(
                () => SafetensorsWriter.Write(folder["x.safetensors"], tensors.Select(tensor => KeyValuePair.Create(tensor.Name, tensor.Tensor))));
            Assert.Contains(said, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_reference_models_open_and_their_shards_hold_the_same_weights()
    {
        using var whole = SafetensorsFile.Open(TestData.Shared("reference", "models", "llama"));
        using var shards = SafetensorsFile.Open(TestData.Shared("reference", "models", "llama-sharded"));
        Assert.Equal(whole.Tensors.Keys.Order(StringComparer.Ordinal), shards.Tensors.Keys.Order(StringComparer.Ordinal));
        Assert.All(whole.Tensors.Keys, name => Assert.Equal(whole.Values(name), shards.Values(name)));
        foreach (var model in Directory.GetDirectories(TestData.Shared("reference", "models")))
        {
            using var weights = SafetensorsFile.Open(model);
            using var expected = SafetensorsFile.Open(Path.Combine(model, "expected.safetensors"));
            Assert.NotEmpty(expected.Integers("input_ids"));
            Assert.All(weights.Tensors.Keys, name => Assert.All(weights.Values(name), value => Assert.False(float.IsNaN(value))));
        }
    }

    private string WriteRaw(string name, string header, int dataLength) => WriteRaw(name, header, new byte[dataLength]);

    private string WriteRaw(string name, string header, byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        File.WriteAllBytes(folder[name], [.. BitConverter.GetBytes((long)json.Length), .. json, .. data]);
        return folder[name];
    }

    private static torch.ScalarType TypeOf(string name) => name switch
    {
        "F64" => torch.float64,
        "F16" => torch.float16,
        "BF16" => torch.bfloat16,
        "I64" => torch.int64,
        "I32" => torch.int32,
        "I16" => torch.int16,
        "I8" => torch.int8,
        "U8" => torch.uint8,
        "BOOL" => torch.@bool,
        _ => torch.float32,
    };
}
