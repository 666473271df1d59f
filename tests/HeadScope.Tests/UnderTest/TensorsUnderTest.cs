using TorchSharp;

namespace HeadScope.Tests;

/// <summary>The one place where the tests of the methods read and make the tensors of the public surface.</summary>
internal static class TensorsUnderTest
{
    /// <summary>All numbers, row by row.</summary>
    public static T[] Values<T>(this torch.Tensor tensor)
        where T : unmanaged => tensor.data<T>().ToArray();

    /// <summary>All numbers of an fp32 tensor, row by row.</summary>
    public static float[] Values(this torch.Tensor tensor) => tensor.Values<float>();

    public static NumberArray ToNumberArray(this torch.Tensor tensor) =>
        new(tensor.Values(), Array.ConvertAll(tensor.shape, length => (int)length));

    public static torch.Tensor ToTensor(this NumberArray array) =>
        torch.tensor(array.Values, Array.ConvertAll(array.Shape, length => (long)length));
}
