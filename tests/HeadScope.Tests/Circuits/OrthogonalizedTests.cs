using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>The factors of Ω made orthogonal, whatever their condition.</summary>
public sealed class OrthogonalizedTests
{
    [Theory]
    [InlineData(40, 6, 1)]
    [InlineData(40, 6, 1e-4)]
    [InlineData(40, 6, 1e-9)]
    [InlineData(40, 6, 0)]
    [InlineData(6, 6, 1e-3)]
    [InlineData(4, 6, 1)]
    public void Columns_are_orthonormal_and_the_product_is_the_matrix(int rows, int columns, double last)
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var matrices = randn([3, rows, columns], float64);
        matrices.select(2, columns - 1).mul_(last.ToScalar()).add_(matrices.select(2, 0));

        var (basis, turn, triangle) = Orthogonalized.Of(matrices);

        var q = basis.bmm(turn);
        Assert.True(allclose(q.transpose(1, 2).bmm(q), eye(q.shape[2], dtype: float64).expand(3, -1, -1), 0, 1e-14), "orthonormal");
        Assert.True(allclose(q.bmm(triangle), matrices, 1e-13, 1e-13), "the product");
        Assert.True(triangle.triu().allclose(triangle, 0, 1e-14), "upper triangular");
    }
}
