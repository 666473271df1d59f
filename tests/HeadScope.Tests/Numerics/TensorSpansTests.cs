using System.Numerics.Tensors;

namespace HeadScope.Tests;

public class TensorSpansTests
{
    [Fact]
    public void The_flat_span_is_the_tensor_itself()
    {
        var tensor = Tensor.CreateFromShape<float>([2, 3, 4]);
        tensor.AsFlatSpan()[(1 * 12) + (2 * 4) + 3] = 5;
        Assert.Equal(5, tensor[1, 2, 3]);
        Assert.Equal(24, tensor.AsFlatSpan().Length);
        Assert.True(Tensor.CreateFromShape<float>([0, 3]).AsFlatSpan().IsEmpty);
    }

    [Fact]
    public void A_tensor_is_a_matrix_of_its_last_index()
    {
        var tensor = Tensor.Create(Enumerable.Range(0, 24).Select(i => (float)i).ToArray(), [2, 3, 4]);
        var matrix = tensor.AsMatrix();
        Assert.Equal((6, 4), (matrix.Rows, matrix.Columns));
        Assert.Equal([20f, 21f, 22f, 23f], matrix.Row(5).ToArray());
    }

    [Fact]
    public void A_view_with_gaps_is_refused()
    {
        var view = Tensor.CreateFromShape<float>([3, 3])[0..2, 0..2];
        Assert.Throws<ArgumentException>(() => view.AsFlatSpan().Length);
    }
}
