using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using TorchSharp;

namespace HeadScope.Tests;

public sealed class TorchPickleTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Tensors_come_with_their_types_names_and_shared_storages()
    {
        using var scope = torch.NewDisposeScope();
        var tensors = TorchPickle.Read(Write(
            "\u0080\u0002}(" + Text("w") + FloatTensor("0", 6, 0, [2, 3], [3, 1]) + Text("turned") + FloatTensor("0", 6, 0, [3, 2], [1, 3])
            + Text("inner") + "}(" + Text("ids") + Tensor("LongStorage", "1", 2, 0, [2], [1]) + Text("none") + FloatTensor("0", 6, 6, [0], [1])
            + "u" + Text("step") + "K\u0005u.",
            [1, 2, 3, 4, 5, 6], [7, -1]));
        Assert.Equal(["inner.ids", "inner.none", "turned", "w"], tensors.Keys.Order(StringComparer.Ordinal));
        Assert.Equal([1f, 2, 3, 4, 5, 6], tensors["w"].data<float>().ToArray());
        Assert.True(tensors["turned"].Equals(tensors["w"].t()));
        Assert.Equal([7L, -1], tensors["inner.ids"].data<long>().ToArray());
        Assert.Equal([0L], tensors["inner.none"].shape);
    }

    public static TheoryData<string, string, string> Damaged => new()
    {
        { "holds itself", "}q\0" + Text("a") + "h\0s.", "in themselves" },
        { "nested", string.Concat(Enumerable.Repeat("}" + Text("a"), 5000)) + "N" + new string('s', 5000) + ".", "in one another" },
        { "ever more of the same", Laughs(), "100000 entries" },
        { "stride 0", "}" + Text("a") + FloatTensor("0", 6, 0, [2_000_000_000], [0]) + "s.", "storage of 6 numbers does not hold" },
        { "negative stride", "}" + Text("a") + FloatTensor("0", 6, 5, [6], [-1]) + "s.", "does not hold" },
        { "negative offset", "}" + Text("a") + FloatTensor("0", 6, -1, [6], [1]) + "s.", "does not hold" },
        { "beyond the end", "}" + Text("a") + FloatTensor("0", 6, 1, [6], [1]) + "s.", "does not hold" },
        { "absurd shape", "}" + Text("a") + FloatTensor("0", 6, 0, [0, int.MaxValue, int.MaxValue, int.MaxValue], [1, 1, 1, 1]) + "s.", "does not hold" },
        { "strides missing", "}" + Text("a") + FloatTensor("0", 6, 0, [2, 3], [3]) + "s.", "does not hold" },
        { "storage too long", "}" + Text("a") + FloatTensor("0", 7, 0, [6], [1]) + "s.", "says that the storage '0' holds 7 numbers" },
        { "storage negative", "}" + Text("a") + FloatTensor("0", -1, 0, [6], [1]) + "s.", "says that the storage '0' holds -1 numbers" },
        { "storage missing", "}" + Text("a") + FloatTensor("5", 6, 0, [6], [1]) + "s.", "lacks the storage '5'" },
        { "storage twice", "}" + Text("a") + FloatTensor("0", 6, 0, [6], [1]) + "s" + Text("b") + Tensor("IntStorage", "0", 6, 0, [6], [1]) + "s.", "in two ways" },
        { "unknown storage", "}" + Text("a") + Tensor("ComplexFloatStorage", "0", 3, 0, [3], [1]) + "s.", "'torch.ComplexFloatStorage', which is not known" },
        { "asks for code", "cos\nsystem\n" + Text("echo") + "\u0085R.", "asks for 'os.system'" },
        { "builds an object", "cbuiltins\neval\n)\u0081.", "0x81" },
        { "key of no kind", "}NNs.", "does not fit" },
        { "nothing on the stack", "0.", "0x30" },
        { "empty stack", "s.", "does not fit" },
        { "no mark", "}u.", "does not fit" },
        { "odd items", "}(" + Text("a") + "u.", "does not fit" },
        { "no such memory", "h\u0007.", "does not fit" },
        { "not a dictionary", "K\u0001.", "other than a dictionary" },
        { "text beyond the end", "X\u007f\0\0\0a.", "does not fit" },
        { "no end", "}", "does not fit" },
        { "no end of line", "cos", "does not fit" },
        { "nothing", "", "does not fit" },
    };

    [Theory]
    [MemberData(nameof(Damaged))]
    public void Damage_and_absurd_claims_are_refused_by_name(string what, string code, string said)
    {
        var path = Write(code, [1, 2, 3, 4, 5, 6]);
        var error = Assert.Throws<InvalidDataException>(() => TorchPickle.Read(path));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.True(error.Message.Contains(said, StringComparison.Ordinal), $"{what}: {error.Message}");
    }

    [Fact]
    public void Archives_that_unpack_to_more_than_they_are_are_refused()
    {
        // 200 MB of zeros in 200 KB: a storage, and a pickle.
        Refused(Zip(("x/data.pkl", Bytes("}" + Text("a") + FloatTensor("0", 50_000_000, 0, [1], [1]) + "s.")), ("x/data/0", new byte[200_000_000])), "more bytes than it has");
        Refused(Zip(("x/data.pkl", new byte[200_000_000])), "a data.pkl of 200000000 bytes");
        Refused(Zip(("x/weights", [])), "has no data.pkl");
        File.WriteAllText(folder["x.pth"], "not a zip file");
        Refused(folder["x.pth"], "not a zip file");

        void Refused(string path, string said)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var message = Assert.Throws<InvalidDataException>(() => TorchPickle.Read(path)).Message;
            Assert.Contains(path, message, StringComparison.Ordinal);
            Assert.Contains(said, message, StringComparison.Ordinal);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
        }
    }

    [Fact]
    public void Flipped_bytes_never_crash()
    {
        var whole = File.ReadAllBytes(Write(
            "\u0080\u0002}(" + Text("w") + FloatTensor("0", 6, 0, [2, 3], [3, 1]) + Text("ids") + Tensor("LongStorage", "1", 2, 0, [2], [1]) + "u.",
            [1, 2, 3, 4, 5, 6], [7, -1]));
        var refused = FlippedBytes.Refused(
            folder["flipped.pth"],
            whole,
            whole.Length,
            path =>
            {
                using var scope = torch.NewDisposeScope();
                TorchPickle.Read(path);
            },
            error => error is InvalidDataException && error.Message.Contains(folder["flipped.pth"], StringComparison.Ordinal));
        Assert.True(refused > 1000, $"only {refused} of 2000 damaged files were refused");
    }

    /// <summary>A dictionary of two of the same dictionary of two, and so on: 2^40 entries.</summary>
    private static string Laughs()
    {
        var code = new StringBuilder("}q\0");
        for (var i = 0; i < 12; i++)
        {
            code.Append("}(");
            for (var copy = 0; copy < 10; copy++)
            {
                code.Append(Text($"{copy}")).Append('h').Append((char)i);
            }

            code.Append("uq").Append((char)(i + 1));
        }

        return code.Append('.').ToString();
    }

    private static string FloatTensor(string key, int count, int offset, int[] shape, int[] strides) =>
        Tensor("FloatStorage", key, count, offset, shape, strides);

    private static string Tensor(string type, string key, int count, int offset, int[] shape, int[] strides) =>
        "ctorch._utils\n_rebuild_tensor_v2\n((" + Text("storage") + $"ctorch\n{type}\n" + Text(key) + Text("cpu") + Number(count) + "tQ" + Number(offset)
        + "(" + string.Concat(shape.Select(Number)) + "t(" + string.Concat(strides.Select(Number)) + "t\u0089}tR";

    private static string Text(string text) => $"X{(char)text.Length}\0\0\0{text}";

    private static string Number(int number)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
        return "J" + Encoding.Latin1.GetString(bytes);
    }

    private static byte[] Bytes(string code) => Encoding.Latin1.GetBytes(code);

    private string Write(string code, float[] first, long[]? second = null)
    {
        using var stream = new FileStream(folder["x.pth"], FileMode.Create);
        using var zip = new ZipArchive(stream, ZipArchiveMode.Create);
        Add(zip, "x/data.pkl", Bytes(code), CompressionLevel.NoCompression);
        Add(zip, "x/data/0", [.. first.SelectMany(BitConverter.GetBytes)], CompressionLevel.NoCompression);
        Add(zip, "x/data/1", [.. (second ?? []).SelectMany(BitConverter.GetBytes)], CompressionLevel.NoCompression);
        return folder["x.pth"];
    }

    private string Zip(params (string Name, byte[] Content)[] entries)
    {
        using var stream = new FileStream(folder["bomb.pth"], FileMode.Create);
        using var zip = new ZipArchive(stream, ZipArchiveMode.Create);
        foreach (var (name, content) in entries)
        {
            Add(zip, name, content, CompressionLevel.Optimal);
        }

        return folder["bomb.pth"];
    }

    private static void Add(ZipArchive zip, string name, byte[] content, CompressionLevel level)
    {
        using var stream = zip.CreateEntry(name, level).Open();
        stream.Write(content);
    }
}
