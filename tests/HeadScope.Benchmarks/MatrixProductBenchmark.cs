using System.Globalization;

namespace HeadScope.Benchmarks;

/// <summary>The matrix product against OpenBLAS through NumPy, with B as stored and transposed.</summary>
internal static class MatrixProductBenchmark
{
    private static readonly (int M, int K, int N)[] Shapes =
    [
        (1024, 1024, 1024), (256, 768, 3072), (128, 576, 49152), (16, 768, 768), (1, 768, 3072), (1, 576, 49152),
        (49152, 576, 64), (256, 64, 256), (256, 256, 64),
    ];

    /// <summary>
    /// Runs it; arguments are shapes such as 256x768x3072 (m, k, n), none for the usual ones. With --cpu first, one thread each and its
    /// processor seconds, which a busy machine disturbs less.
    /// </summary>
    public static void Run(string[] arguments)
    {
        var processorTime = arguments is ["--cpu", ..];
        if (processorTime)
        {
            arguments = arguments[1..];
            Parallelism.Threads = 1;
        }

        (int M, int K, int N)[] shapes = arguments.Length == 0 ? Shapes : [.. arguments.Select(Parse)];
        using var peer = Peer.Start("matmul.py");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Parallelism.Threads} threads; peer: {peer.Description}\n"));
        Console.WriteLine(Comparison.TableHead("OpenBLAS"));
        foreach (var (m, k, n) in shapes)
        {
            foreach (var transposed in new[] { false, true })
            {
                var a = Numbers(m * k);
                var b = Numbers(k * n);
                var c = new float[m * n];
                var comparison = Comparison.Measure(
                    string.Create(CultureInfo.InvariantCulture, $"({m}×{k})·({k}×{n}){(transposed ? ", B transposed" : "")}"),
                    () => MatrixProduct.Multiply(
                        new(a, m, k), transposed ? new ReadOnlyMatrix(b, n, k).Transpose() : new ReadOnlyMatrix(b, k, n), new(c, m, n)),
                    peer,
                    string.Create(CultureInfo.InvariantCulture, $"product {m} {k} {n} {(transposed ? 1 : 0)}"),
                    processorTime: processorTime);
                Console.WriteLine(comparison);
            }
        }
    }

    private static (int M, int K, int N) Parse(string shape) =>
        shape.Split('x') is [var m, var k, var n]
            ? (int.Parse(m, CultureInfo.InvariantCulture), int.Parse(k, CultureInfo.InvariantCulture), int.Parse(n, CultureInfo.InvariantCulture))
            : throw new ArgumentException($"'{shape}' is not a shape: expected m, k and n, such as 256x768x3072.", nameof(shape));

    private static float[] Numbers(int count)
    {
        var random = new Random(1);
        var numbers = new float[count];
        for (var i = 0; i < count; i++)
        {
            numbers[i] = random.NextSingle() - 0.5f;
        }

        return numbers;
    }
}
