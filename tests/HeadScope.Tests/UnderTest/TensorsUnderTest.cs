using System.Numerics.Tensors;

namespace HeadScope.Tests;

/// <summary>The one place where the tests of the methods read and make the tensors of the public surface.</summary>
internal static class TensorsUnderTest
{
    /// <summary>All numbers, row by row.</summary>
    public static T[] Values<T>(this Tensor<T> tensor) => tensor.AsFlatSpan().ToArray();

    public static int[] Shape<T>(this Tensor<T> tensor) => Array.ConvertAll(tensor.Lengths.ToArray(), length => (int)length);

    public static T At<T>(this Tensor<T> tensor, params int[] at) => tensor[Array.ConvertAll(at, i => (nint)i)];

    public static NumberArray ToNumberArray(this Tensor<float> tensor) => new(tensor.Values(), tensor.Shape());

    public static Tensor<float> ToTensor(this NumberArray array) =>
        Tensor.Create([.. array.Values], Array.ConvertAll(array.Shape, length => (nint)length));
}
