namespace HeadScope.Tests;

public class MatrixProductTests
{
    private delegate void Product(ReadOnlyMatrix a, ReadOnlyMatrix b, Matrix c, bool accumulate);

    private static readonly Product[] Kernels =
    [
        MatrixProduct.Multiply, MatrixProduct.Multiply<Tile512>, MatrixProduct.Multiply<Tile256>, MatrixProduct.Multiply<TilePortable>,
    ];

    [Fact]
    public void Multiply_follows_the_definition_for_transposed_and_sliced_views()
    {
        float[] a = [1, 2, 3, 4, 5, 6];
        float[] b = [1, 0, 2, 0, 1, 1];
        var c = new float[4];
        MatrixProduct.Multiply(new(a, 2, 3), new ReadOnlyMatrix(b, 2, 3).Transpose(), new(c, 2, 2));
        Assert.Equal([7f, 5f, 16f, 11f], c);
        MatrixProduct.Multiply(new(a, 2, 3), new ReadOnlyMatrix(b, 2, 3).Transpose(), new(c, 2, 2), accumulate: true);
        Assert.Equal([14f, 10f, 32f, 22f], c);
    }

    [Fact]
    public void Multiply_refuses_shapes_that_do_not_fit()
    {
        var error = Assert.Throws<ArgumentException>(() =>
            MatrixProduct.Multiply(new(new float[6], 2, 3), new(new float[4], 2, 2), new(new float[4], 2, 2)));
        Assert.Contains("[2, 3] · [2, 2]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_kernel_matches_fp64_for_small_and_odd_shapes() => RandomNumbers.ForSeeds(
        seed =>
        {
            var random = new Random(seed);
            CheckAll(random, random.Next(0, 40), random.Next(0, 70), random.Next(0, 80));
        },
        tests: 400);

    [Fact]
    public void Every_kernel_matches_fp64_for_shapes_of_one_row_or_column() => RandomNumbers.ForSeeds(
        seed =>
        {
            var random = new Random(seed);
            var sizes = new[] { random.Next(1, 3), random.Next(1, 400), random.Next(1, 400) };
            random.Shuffle(sizes);
            CheckAll(random, sizes[0], sizes[1], sizes[2]);
        },
        tests: 100);

    [Fact]
    public void Every_kernel_matches_fp64_across_cache_blocks() => RandomNumbers.ForSeeds(
        seed =>
        {
            var random = new Random(seed);
            CheckAll(random, random.Next(1, 330), random.Next(200, 900), random.Next(1, 420));
        },
        tests: 12);

    [Fact]
    public void Every_kernel_matches_fp64_for_few_rows_of_great_depth() => RandomNumbers.ForSeeds(
        seed =>
        {
            var random = new Random(seed);
            CheckAll(random, random.Next(1, 26), random.Next(2000, 6000), random.Next(1, 26));
        },
        tests: 20);

    [Fact]
    public void Rows_a_page_apart_give_the_same_product()
    {
        // Such rows are copied first; the numbers must come out the same as from rows that are read in place.
        const int M = 40, K = 300, N = 50;
        var a = RandomNumbers.Normal(M * K, 1);
        var b = RandomNumbers.Normal(K * N, 2);
        var wide = new float[M * 1024];
        for (var i = 0; i < M; i++)
        {
            a.AsSpan(i * K, K).CopyTo(wide.AsSpan(i * 1024));
        }

        float[] near = new float[M * N], far = new float[M * N];
        MatrixProduct.Multiply(new(a, M, K), new(b, K, N), new(near, M, N));
        MatrixProduct.Multiply(new(wide, M, K, 1024), new(b, K, N), new(far, M, N));
        Assert.Equal(near, far);
    }

    [Fact]
    public void The_number_of_threads_does_not_change_a_bit()
    {
        var threads = Parallelism.Threads;
        try
        {
            RandomNumbers.ForSeeds(
                seed =>
                {
                    var random = new Random(seed);
                    int m = random.Next(1, 200), k = random.Next(1, 600), n = random.Next(1, 600);
                    if (random.Next(3) == 0)
                    {
                        (m, n) = (random.Next(1, 4), n * 8);
                    }

                    var a = Stored(random, m, k, seed);
                    var b = Stored(random, k, n, seed + 1);
                    float[]? expected = null;
                    foreach (var count in new[] { 1, 2, 3, 16 })
                    {
                        Parallelism.Threads = count;
                        var c = new float[m * n];
                        MatrixProduct.Multiply(a.View(), b.View(), new(c, m, n));
                        Assert.Equal(expected ??= c, c);
                    }
                },
                tests: 40);
        }
        finally
        {
            Parallelism.Threads = threads;
        }
    }

    [Theory]
    [InlineData(200, 300, 400)]
    [InlineData(16, 300, 400)]
    [InlineData(1, 300, 4000)]
    [InlineData(4000, 300, 3)]
    public void A_product_allocates_nothing_once_its_buffers_are_pooled(int m, int k, int n)
    {
        var a = RandomNumbers.Normal(m * k, 1);
        var b = RandomNumbers.Normal(k * n, 2);
        var c = new float[m * n];
        foreach (var transposed in new[] { false, true })
        {
            void Multiply() => MatrixProduct.Multiply(
                new(a, m, k), transposed ? new ReadOnlyMatrix(b, n, k).Transpose() : new ReadOnlyMatrix(b, k, n), new(c, m, n));

            // Inside a loop over two indices the product stays on this thread, whose allocations can be counted. A collection in
            // another test may empty the pool meanwhile, so the least of several rounds counts.
            var allocated = new long[2];
            Parallelism.For(2, index =>
            {
                Multiply();
                allocated[index] = Enumerable.Range(0, 5).Min(_ =>
                {
                    var before = GC.GetAllocatedBytesForCurrentThread();
                    for (var i = 0; i < 10; i++)
                    {
                        Multiply();
                    }

                    return GC.GetAllocatedBytesForCurrentThread() - before;
                });
            });
            Assert.Equal([0, 0], allocated);
        }
    }

    private static void CheckAll(Random random, int m, int k, int n)
    {
        var a = Stored(random, m, k, random.Next());
        var b = Stored(random, k, n, random.Next());
        var accumulate = random.Next(2) == 0;
        var stride = n + random.Next(0, 5);
        var before = RandomNumbers.Normal(m * stride, random.Next());
        var (expected, sizes) = Reference(a.View().ToArray(), b.View().Transpose().ToArray(), m, k, n);
        foreach (var kernel in Kernels)
        {
            var c = (float[])before.Clone();
            kernel(a.View(), b.View(), new(c, m, n, stride), accumulate);
            for (var i = 0; i < m; i++)
            {
                for (var j = 0; j < n; j++)
                {
                    var start = accumulate ? before[(i * stride) + j] : 0;
                    var tolerance = 1e-6 * (sizes[(i * n) + j] + Math.Abs(start));
                    Assert.Equal(expected[(i * n) + j] + start, c[(i * stride) + j], tolerance);
                }

                // What lies between the rows of C must be untouched.
                Assert.Equal(before.AsSpan((i * stride) + n, stride - n), c.AsSpan((i * stride) + n, stride - n));
            }
        }
    }

    // The product in fp64, and the same of the absolute numbers: what the rounding of a sum is measured against.
    private static (double[] Sums, double[] Sizes) Reference(float[] a, float[] bTransposed, int m, int k, int n)
    {
        var sums = new double[m * n];
        var sizes = new double[m * n];
        for (var i = 0; i < m; i++)
        {
            for (var j = 0; j < n; j++)
            {
                double sum = 0, size = 0;
                for (var p = 0; p < k; p++)
                {
                    var term = (double)a[(i * k) + p] * bTransposed[(j * k) + p];
                    sum += term;
                    size += Math.Abs(term);
                }

                (sums[(i * n) + j], sizes[(i * n) + j]) = (sum, size);
            }
        }

        return (sums, sizes);
    }

    private static StoredMatrix Stored(Random random, int rows, int columns, int seed)
    {
        var transposed = random.Next(2) == 0;
        var (storedRows, storedColumns) = transposed ? (columns, rows) : (rows, columns);
        var stride = random.Next(4) switch { 0 => 1024, 1 => storedColumns + random.Next(0, 20), _ => storedColumns };
        return new StoredMatrix(
            RandomNumbers.Normal(storedRows * Math.Max(stride, storedColumns), seed), storedRows, storedColumns, Math.Max(stride, storedColumns), transposed);
    }

    private sealed record StoredMatrix(float[] Values, int StoredRows, int StoredColumns, int Stride, bool IsTransposed)
    {
        public ReadOnlyMatrix View()
        {
            var view = new ReadOnlyMatrix(Values, StoredRows, StoredColumns, Stride);
            return IsTransposed ? view.Transpose() : view;
        }
    }
}
