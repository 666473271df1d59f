using System.Text;

namespace HeadScope.Tests;

/// <summary>Writes the bytes of small GGUF files, right ones and wrong ones.</summary>
public sealed class GgufBytes
{
    private readonly MemoryStream metadata = new();
    private readonly MemoryStream tensors = new();
    private readonly MemoryStream data = new();
    private ulong metadataCount;
    private ulong tensorCount;

    public uint Version { get; set; } = 3;

    public int Alignment { get; set; } = 32;

    public GgufBytes Entry(string key, uint type, params byte[][] value)
    {
        metadataCount++;
        metadata.Write([.. Text(key), .. BitConverter.GetBytes(type), .. value.SelectMany(part => part)]);
        return this;
    }

    /// <summary>Adds a tensor; dimensions are GGUF's, innermost first.</summary>
    public GgufBytes Tensor(string name, uint type, long[] dimensions, byte[] values, ulong? offset = null)
    {
        tensorCount++;
        data.SetLength((data.Length + Alignment - 1) / Alignment * Alignment);
        tensors.Write([.. Text(name), .. BitConverter.GetBytes(dimensions.Length), .. dimensions.SelectMany(BitConverter.GetBytes),
            .. BitConverter.GetBytes(type), .. BitConverter.GetBytes(offset ?? (ulong)data.Length)]);
        data.Seek(0, SeekOrigin.End);
        data.Write(values);
        return this;
    }

    public byte[] ToArray()
    {
        byte[] header = [.. "GGUF"u8, .. BitConverter.GetBytes(Version), .. BitConverter.GetBytes(tensorCount),
            .. BitConverter.GetBytes(metadataCount), .. metadata.ToArray(), .. tensors.ToArray()];
        return [.. header, .. new byte[(Alignment - (header.Length % Alignment)) % Alignment], .. data.ToArray()];
    }

    public static byte[] Text(string text) => [.. BitConverter.GetBytes((long)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];
}
