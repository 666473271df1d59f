using HeadScope.Numerics;

namespace HeadScope.Tests.Numerics;

public class MatrixProductTests
{
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
}
