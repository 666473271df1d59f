using System.Numerics;

namespace HeadScope;

/// <summary>The GGUF format, versions 2 and 3, little-endian: typed metadata, then the tensors. Blocks are decoded when they are read.</summary>
/// <remarks>Read are F32, F16, BF16, F64, I8 to I64, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K. Names are those of the file
/// (<c>blk.0.attn_q.weight</c>); shapes are turned round to row-major order, so that a GGUF tensor of dimensions [512, 3] is [3, 512].</remarks>
internal sealed class GgufFile : TensorFile
{
    private const uint DefaultAlignment = 32;
    private const int MostDimensions = 4;

    // ggml's numbers of the types; not all of them can be read.
    private static readonly Dictionary<uint, string> Types = new()
    {
        [0] = "F32", [1] = "F16", [2] = "Q4_0", [3] = "Q4_1", [6] = "Q5_0", [7] = "Q5_1", [8] = "Q8_0", [9] = "Q8_1", [10] = "Q2_K",
        [11] = "Q3_K", [12] = "Q4_K", [13] = "Q5_K", [14] = "Q6_K", [15] = "Q8_K", [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS",
        [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS", [24] = "I8", [25] = "I16", [26] = "I32",
        [27] = "I64", [28] = "F64", [29] = "IQ1_M", [30] = "BF16", [34] = "TQ1_0", [35] = "TQ2_0", [39] = "MXFP4",
    };

    private readonly Dictionary<string, object> metadata = new(StringComparer.Ordinal);

    private GgufFile(string path)
        : base(path)
    {
    }

    /// <summary>What the file says about the model. A value is a <see cref="bool"/>, an integer of 8 to 64 bits with or without sign, a
    /// <see cref="float"/>, a <see cref="double"/>, a <see cref="string"/>, or an array of one of these (<c>uint[]</c>, <c>string[]</c>); an
    /// array of arrays is an <c>object[]</c>.</summary>
    public IReadOnlyDictionary<string, object> Metadata => metadata;

    /// <summary>Opens a file and reads its header.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is not GGUF, or cut, or damaged, or no regular file.</exception>
    /// <exception cref="NotSupportedException">It is big-endian, of version 1, one part of several, or a tensor's type is not read
    /// here.</exception>
    public static GgufFile Open(string path) => Opened(new GgufFile(path), opened => opened.ReadHeader(opened.OpenFile(path)));

    private void ReadHeader(RegularFile file)
    {
        Fault.InvalidDataIf(file.ReadStart(4) is var start && !start.AsSpan().SequenceEqual("GGUF"u8),
            $"'{Path}' is not a GGUF file: expected the bytes 'GGUF' at its start, found {Convert.ToHexString(start)}.");
        var reader = new GgufReader(file);
        reader.Read<uint>("the magic number");
        var version = reader.Read<uint>("the version");
        Fault.NotSupportedIf(version is 0x02000000 or 0x03000000,
            $"'{Path}' is a big-endian GGUF file; expected a little-endian one. Convert it with gguf-py's gguf_convert_endian.");
        Fault.NotSupportedIf(version == 1, $"'{Path}' is a GGUF file of version 1; expected 2 or 3. Convert the model again.");
        Fault.InvalidDataIf(version is not (2 or 3), $"'{Path}': GGUF version {version} is not known; expected 2 or 3.");
        var tensorCount = reader.ReadCount(24, "tensors");
        var entryCount = reader.ReadCount(13, "entries of metadata");
        for (var i = 0; i < entryCount; i++)
        {
            var key = reader.ReadString("a key of metadata");
            Fault.InvalidDataIf(!metadata.TryAdd(key, reader.ReadValue(reader.Read<uint>(key), key)),
                $"'{Path}' has the metadata key '{key}' twice.");
        }

        var parts = metadata.GetValueOrDefault("split.count");
        Fault.NotSupportedIf(parts is ushort and > 1,
            $"'{Path}' is one of {parts} parts of a model; join them with llama.cpp's 'llama-gguf-split --merge'.");
        var stated = metadata.GetValueOrDefault("general.alignment", DefaultAlignment);
        var alignment = stated is uint number && BitOperations.IsPow2(number) ? number : 0;
        Fault.InvalidDataIf(alignment == 0, $"'{Path}': expected a power of two (UINT32) as general.alignment, found {stated}.");
        TensorInfo[] entries = [.. Enumerable.Range(0, tensorCount).Select(_ => ReadTensor(file, reader, alignment))];
        PlaceTensors(file, (reader.Position + alignment - 1) / alignment * alignment, entries, isDense: false);
    }

    private TensorInfo ReadTensor(RegularFile file, GgufReader reader, uint alignment)
    {
        var name = reader.ReadString("a tensor's name");
        var where = $"'{Path}', tensor '{name}'";
        var dimensions = reader.Read<uint>(where);
        Fault.InvalidDataIf(dimensions > MostDimensions, $"{where} has {dimensions} dimensions; expected at most {MostDimensions}.");
        var shape = new long[dimensions];
        for (var i = (int)dimensions - 1; i >= 0; i--)
        {
            shape[i] = reader.Read<long>(where);
        }

        var number = reader.Read<uint>(where);
        var type = Types.GetValueOrDefault(number) ?? throw new InvalidDataException(
            $"{where} has the unknown type {number}; the file is damaged, or newer than what can be read: {NumberFormat.Names}.");
        var format = NumberFormat.Of(type) ?? throw new NotSupportedException(
            $"{where} is stored as {type}; what can be read is {NumberFormat.Names}. Use another quantisation of the model.");
        var row = shape is [.., var last] ? last : 1;
        Fault.InvalidDataIf(row % format.BlockLength != 0,
            $"{where}: rows of {row} numbers; expected a multiple of {format.BlockLength}, the block length of {format.Name}.");
        var offset = reader.Read<ulong>(where);
        Fault.InvalidDataIf(offset % alignment != 0, $"{where} begins at byte {offset} of the data; expected a multiple of {alignment}.");
        return new TensorInfo(name, shape, format, file, (long)Math.Min(offset, long.MaxValue)).Checked();
    }
}
