using System.Numerics.Tensors;

namespace HeadScope.Tests;

/// <summary>Reads golden tensors and compares with them.</summary>
internal static class ReferenceTensors
{
    public static float[] Values(this TensorFile file, string name)
    {
        var values = new float[file.Tensors[name].Length];
        file.Read(name, 0, values);
        return values;
    }

    public static int[] Ids(this TensorFile file, string name) => Array.ConvertAll(file.Values(name), id => (int)id);

    /// <summary>The rows of <c>input_ids</c>, [batch, position].</summary>
    public static int[][] Batch(this TensorFile file) =>
        [.. file.Ids("input_ids").Chunk((int)file.Tensors["input_ids"].Shape[1])];

    public static float[] Flat(this Tensor<float> tensor) => tensor.AsFlatSpan().ToArray();

    /// <summary>Infinite values must be equal, others within the tolerance.</summary>
    public static void AssertClose(string name, ReadOnlySpan<float> expected, ReadOnlySpan<float> found, double tolerance)
    {
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            var same = float.IsFinite(expected[i])
                ? Math.Abs((double)expected[i] - found[i]) <= tolerance
                : expected[i].Equals(found[i]);
            Assert.True(same, $"{name}[{i}] is {found[i]}, expected {expected[i]} within {tolerance}.");
        }
    }

    /// <summary>The largest finite magnitude.</summary>
    public static double Largest(ReadOnlySpan<float> values)
    {
        var largest = 0.0;
        foreach (var value in values)
        {
            largest = float.IsFinite(value) ? Math.Max(largest, Math.Abs(value)) : largest;
        }

        return largest;
    }
}
