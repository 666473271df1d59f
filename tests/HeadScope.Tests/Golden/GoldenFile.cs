using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope.Tests;

/// <summary>
/// A safetensors file, read and written by the tests themselves: golden numbers do not come through the reader that is tested.
/// </summary>
internal sealed class GoldenFile
{
    private readonly byte[] bytes;
    private readonly int start;
    private readonly Dictionary<string, JsonElement> header;

    private GoldenFile(string path)
    {
        bytes = File.ReadAllBytes(path);
        start = 8 + (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        header = JsonDocument.Parse(bytes.AsMemory(8..start)).RootElement.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value);
    }

    public IEnumerable<string> Names => header.Keys.Where(name => name != "__metadata__");

    public static GoldenFile Open(params string[] path) => new(Path.Combine(path));

    public bool Has(string name) => header.ContainsKey(name);

    public string? Metadata(string key) => header["__metadata__"].GetProperty(key).GetString();

    public string DataType(string name) => header[name].GetProperty("dtype").GetString()!;

    public int[] Shape(string name) => [.. header[name].GetProperty("shape").EnumerateArray().Select(n => n.GetInt32())];

    /// <summary>The numbers of a tensor, row by row.</summary>
    public float[] Values(string name) => Array.ConvertAll(Read(name), n => (float)n);

    public long[] Integers(string name) => Array.ConvertAll(Read(name), n => (long)n);

    public NumberArray Numbers(string name) => new(Values(name), Shape(name));

    /// <summary>The rows of <c>input_ids</c>, [batch, position].</summary>
    public int[][] Batch() => [.. Array.ConvertAll(Integers("input_ids"), id => (int)id).Chunk(Shape("input_ids")[1])];

    /// <summary>Writes F32 tensors.</summary>
    public static void Write(string path, IEnumerable<KeyValuePair<string, NumberArray>> tensors)
    {
        var (entries, offset) = (new JsonObject(), 0);
        var list = tensors.ToList();
        foreach (var (name, tensor) in list)
        {
            var end = offset + (4 * tensor.Values.Length);
            entries[name] = new JsonObject
            {
                ["dtype"] = "F32", ["shape"] = new JsonArray([.. tensor.Shape.Select(n => (JsonNode)n)]), ["data_offsets"] = new JsonArray(offset, end),
            };
            offset = end;
        }

        var json = Encoding.UTF8.GetBytes(entries.ToJsonString());
        using var file = File.Create(path);
        file.Write(BitConverter.GetBytes((long)json.Length));
        file.Write(json);
        foreach (var (_, tensor) in list)
        {
            foreach (var value in tensor.Values)
            {
                file.Write(BitConverter.GetBytes(value));
            }
        }
    }

    // Every number of these types is a double too, whole numbers up to 2⁵³.
    private double[] Read(string name)
    {
        var offsets = header[name].GetProperty("data_offsets");
        var data = bytes[(start + offsets[0].GetInt32())..(start + offsets[1].GetInt32())];
        return DataType(name) switch
        {
            "F64" => Each(8, n => BinaryPrimitives.ReadDoubleLittleEndian(n)),
            "F32" => Each(4, n => BinaryPrimitives.ReadSingleLittleEndian(n)),
            "F16" => Each(2, n => (double)BinaryPrimitives.ReadHalfLittleEndian(n)),
            "BF16" => Each(2, n => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(n) << 16)),
            "I64" => Each(8, n => BinaryPrimitives.ReadInt64LittleEndian(n)),
            "I32" => Each(4, n => BinaryPrimitives.ReadInt32LittleEndian(n)),
            "U16" => Each(2, n => BinaryPrimitives.ReadUInt16LittleEndian(n)),
            "U8" or "BOOL" => Each(1, n => n[0]),
            var other => throw new NotSupportedException($"{name} is {other}."),
        };

        double[] Each(int size, Func<byte[], double> read) => [.. data.Chunk(size).Select(read)];
    }
}
