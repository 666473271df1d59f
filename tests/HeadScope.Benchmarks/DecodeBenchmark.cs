using System.Globalization;
using System.Text;
using TorchSharp;

namespace HeadScope.Benchmarks;

/// <summary>Reading weights, quantised ones decoded to fp32, from files in the system's cache against NumPy, which has the bytes in memory; both on one thread.</summary>
internal static class DecodeBenchmark
{
    private const int Rows = 2048;
    private const int Columns = 2048;

    /// <summary>ggml's number, block length and block size of what is measured in a GGUF file; BF16 and F16 also stand for safetensors.</summary>
    private static readonly (string Name, uint Number, int Length, int Size)[] Types =
    [
        ("F32", 0, 1, 4), ("F16", 1, 1, 2), ("BF16", 30, 1, 2), ("Q8_0", 8, 32, 34), ("Q4_0", 2, 32, 18), ("Q4_1", 3, 32, 20),
        ("Q5_1", 7, 32, 24), ("Q4_K", 12, 256, 144), ("Q6_K", 14, 256, 210),
    ];

    /// <summary>Runs it; arguments are types such as Q4_1, none for all.</summary>
    public static void Run(string[] arguments)
    {
        var path = Path.GetTempFileName();
        try
        {
            using var peer = Peer.Start("decode.py");
            Console.WriteLine($"1 thread; peer: {peer.Description}\n");
            Console.WriteLine(Comparison.TableHead("NumPy"));
            foreach (var type in Types.Where(type => arguments.Length == 0 || arguments.Contains(type.Name, StringComparer.OrdinalIgnoreCase)))
            {
                Write(path, type.Number, Rows * Columns / type.Length * type.Size);
                using var file = GgufFile.Open(path);
                var comparison = Comparison.Measure(
                    string.Create(CultureInfo.InvariantCulture, $"decode {type.Name}, {Rows}×{Columns}"),
                    () =>
                    {
                        using var scope = torch.NewDisposeScope();
                        file.Read("weight").to(torch.float32);
                    },
                    peer,
                    string.Create(CultureInfo.InvariantCulture, $"decode {type.Name} {Rows * Columns}"));
                var gigabytes = 4e-9 * Rows * Columns / comparison.Ours;
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{comparison} {gigabytes:0.0} GB/s of fp32 |"));
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static void Write(string path, uint type, int length)
    {
        using var header = new MemoryStream();
        using (var writer = new BinaryWriter(header, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write("GGUF"u8);
            writer.Write(3);
            writer.Write(1L);
            writer.Write(0L);
            writer.Write(6L);
            writer.Write("weight"u8);
            writer.Write(2);
            writer.Write((long)Columns);
            writer.Write((long)Rows);
            writer.Write(type);
            writer.Write(0L);
            writer.Write(new byte[(32 - (header.Length % 32)) % 32]);
        }

        var data = new byte[length];
        new Random(1).NextBytes(data);
        File.WriteAllBytes(path, [.. header.ToArray(), .. data]);
    }
}
