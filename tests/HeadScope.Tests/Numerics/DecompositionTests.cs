namespace HeadScope.Tests;

public class DecompositionTests
{
    [Fact]
    public void Thin_QR_is_orthonormal_times_triangular() => RandomNumbers.ForSeeds(seed =>
    {
        var (rows, columns, a) = RandomMatrix(seed);
        var (q, r) = ThinQr.Of(a, rows, columns);
        var k = Math.Min(rows, columns);
        double[] qs = [.. q.AsFlatSpan()], rs = [.. r.AsFlatSpan()];
        AssertClose(Identity(k), Product(qs, Transpose(qs, k, rows), k, rows, k));
        AssertClose(a, Product(Transpose(qs, k, rows), rs, rows, k, columns));
        for (var i = 0; i < k; i++)
        {
            Assert.All(rs.AsSpan(i * columns, i).ToArray(), v => Assert.Equal(0, v));
        }
    });

    [Fact]
    public void Thin_QR_of_fp32_views_is_that_of_their_numbers()
    {
        var numbers = RandomNumbers.Normal(40, 7);
        var view = new ReadOnlyMatrix(numbers, 5, 8).Transpose().SliceRows(1, 6);
        var expected = ThinQr.Of([.. view.ToArray().Select(v => (double)v)], 6, 5);
        var actual = ThinQr.Of(view);
        Assert.Equal(expected.QTransposed.AsFlatSpan().ToArray(), actual.QTransposed.AsFlatSpan().ToArray());
        Assert.Equal(expected.R.AsFlatSpan().ToArray(), actual.R.AsFlatSpan().ToArray());
    }

    [Fact]
    public void Thin_QR_expands_vectors_as_its_Q_does() => RandomNumbers.ForSeeds(seed =>
    {
        var (rows, columns, a) = RandomMatrix(seed);
        var qr = ThinQr.Of(a, rows, columns);
        var k = Math.Min(rows, columns);
        var count = new Random(seed).Next(1, 8);
        var vectors = RandomNumbers.NormalDouble(count * k, seed);
        var expected = Product(vectors, qr.QTransposed.AsFlatSpan().ToArray(), count, k, rows);
        AssertClose(expected, qr.Expand(vectors));

        // The same from the reflections alone, as long as they are there.
        var reflections = HouseholderQr.Of(a, rows, columns);
        AssertClose(expected, reflections.Expand(vectors));
        Assert.Equal(qr.R.AsFlatSpan().ToArray(), reflections.R.AsFlatSpan().ToArray());
        reflections.Dispose();
        Assert.Throws<ObjectDisposedException>(() => reflections.Expand(vectors));
    });

    [Fact]
    public void Thin_QR_keeps_what_large_small_and_dependent_columns_hold()
    {
        // 769 × 65 as for a head: columns of very different size, some multiples of others, one of zeros.
        const int rows = 769, columns = 65;
        var a = RandomNumbers.NormalDouble(rows * columns, 5);
        for (var i = 0; i < a.Length; i++)
        {
            var column = i % columns;
            a[i] = column switch
            {
                7 => 0,
                > 7 and < 12 => 2 * a[i - column],
                20 => 1e150 * a[i],
                _ => a[i] * Math.Pow(10, -column / 8.0),
            };
        }

        var (q, r) = ThinQr.Of(a, rows, columns);
        double[] qs = [.. q.AsFlatSpan()], rs = [.. r.AsFlatSpan()];
        AssertClose(Identity(columns), Product(qs, Transpose(qs, columns, rows), columns, rows, columns));
        var product = Product(Transpose(qs, columns, rows), rs, rows, columns, columns);
        for (var column = 0; column < columns; column++)
        {
            double[] Column(double[] matrix) => [.. Enumerable.Range(0, rows).Select(i => matrix[(i * columns) + column])];
            var expected = Column(a);
            var scale = Math.Max(expected.Max(Math.Abs), double.Epsilon);
            Assert.All(expected.Zip(Column(product)), pair => Assert.Equal(pair.First / scale, pair.Second / scale, 1e-13));
        }
    }

    [Fact]
    public void Small_SVD_recomposes_with_orthonormal_vectors_in_falling_order() => RandomNumbers.ForSeeds(
        seed =>
        {
            var (rows, columns, a) = RandomMatrix(seed);
            var (u, s, vt) = SmallSvd.Of(a, rows, columns);
            var k = Math.Min(rows, columns);
            double[] us = [.. u.AsFlatSpan()], ss = [.. s.AsFlatSpan()], vs = [.. vt.AsFlatSpan()];
            Assert.Equal(ss.OrderDescending(), ss);
            Assert.All(ss, v => Assert.True(v >= 0));
            AssertClose(Identity(k), Product(Transpose(us, rows, k), us, k, rows, k));
            AssertClose(Identity(k), Product(vs, Transpose(vs, k, columns), k, columns, k));
            for (var i = 0; i < us.Length; i++)
            {
                us[i] *= ss[i % k];
            }

            AssertClose(a, Product(us, vs, rows, k, columns));
        },
        tests: 60);

    [Fact]
    public void Small_SVD_finds_known_singular_values()
    {
        var (_, s, _) = SmallSvd.Of([3, 0, 4, 5], 2, 2);
        Assert.Equal(Math.Sqrt(45), s[0], 1e-14);
        Assert.Equal(Math.Sqrt(5), s[1], 1e-14);
    }

    [Theory]
    [InlineData(1e-280)]
    [InlineData(1)]
    [InlineData(1e250)]
    public void Small_SVD_finds_singular_values_of_very_different_size(double scale)
    {
        // Columns of very different length: the small values are determined as well as the large ones, by the numbers themselves.
        double[] lengths = [1, 1e-5, 1e-10, 1e-15];
        var (q, _) = ThinQr.Of(RandomNumbers.NormalDouble(9 * 4, 3), 9, 4);
        var a = Transpose(q.AsFlatSpan().ToArray(), 4, 9);
        for (var i = 0; i < a.Length; i++)
        {
            a[i] *= lengths[i % 4] * scale;
        }

        var (_, s, _) = SmallSvd.Of(a, 9, 4);
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(1, s[i] / lengths[i] / scale, 1e-13);
        }
    }

    [Fact]
    public void Decompositions_refuse_what_they_can_not_take()
    {
        Assert.Throws<ArgumentException>(() => ThinQr.Of(new double[5], 2, 3));
        Assert.Throws<ArgumentException>(() => ThinQr.Of(new double[6], 3, 2).Expand(new double[3]));
        Assert.Throws<ArgumentException>(() => SmallSvd.Of(new double[5], 2, 3));
        Assert.Throws<ArgumentException>(() => SmallSvd.Of([1, double.NaN], 1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => SmallSvd.Of([], 0, 2));
    }

    // Tall, wide and square ones; some of low rank, some with columns of zeros.
    private static (int Rows, int Columns, double[] Values) RandomMatrix(int seed)
    {
        var random = new Random(seed);
        int rows = random.Next(1, 40), columns = random.Next(1, 40);
        var rank = random.Next(2) == 0 ? Math.Min(rows, columns) : random.Next(0, Math.Min(rows, columns));
        var a = rank == Math.Min(rows, columns)
            ? RandomNumbers.NormalDouble(rows * columns, seed)
            : Product(RandomNumbers.NormalDouble(rows * rank, seed), RandomNumbers.NormalDouble(rank * columns, seed + 1), rows, rank, columns);
        return (rows, columns, a);
    }

    private static void AssertClose(double[] expected, double[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var scale = Math.Max(1, expected.Max(Math.Abs));
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], 1e-13 * scale);
        }
    }

    private static double[] Identity(int n) => [.. Enumerable.Range(0, n * n).Select(i => i / n == i % n ? 1.0 : 0.0)];

    private static double[] Transpose(double[] a, int rows, int columns) =>
        [.. Enumerable.Range(0, a.Length).Select(i => a[(i % rows * columns) + (i / rows)])];

    private static double[] Product(double[] a, double[] b, int m, int k, int n)
    {
        var c = new double[m * n];
        for (var i = 0; i < m; i++)
        {
            for (var p = 0; p < k; p++)
            {
                for (var j = 0; j < n; j++)
                {
                    c[(i * n) + j] += a[(i * k) + p] * b[(p * n) + j];
                }
            }
        }

        return c;
    }
}
