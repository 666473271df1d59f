using System.Runtime.InteropServices;
using TorchSharp;

namespace HeadScope.Tests;

/// <summary>Reads golden tensors and compares with them.</summary>
internal static class ReferenceTensors
{
    /// <summary>All numbers of a tensor as fp32.</summary>
    public static float[] Values(this TensorFile file, string name)
    {
        using var scope = torch.NewDisposeScope();
        return MemoryMarshal.Cast<byte, float>(file.Read(name).to(torch.float32).bytes).ToArray();
    }

    /// <summary>All numbers of a tensor of integers or truth values.</summary>
    public static long[] Integers(this TensorFile file, string name)
    {
        using var scope = torch.NewDisposeScope();
        return MemoryMarshal.Cast<byte, long>(file.Read(name).to(torch.int64).bytes).ToArray();
    }

    public static int[] Ids(this TensorFile file, string name) => Array.ConvertAll(file.Integers(name), id => (int)id);

    /// <summary>The rows of <c>input_ids</c>, [batch, position].</summary>
    public static int[][] Batch(this TensorFile file) =>
        [.. file.Ids("input_ids").Chunk((int)file.Tensors["input_ids"].Shape[1])];

    /// <summary>All numbers, row-major.</summary>
    public static float[] Flat(this torch.Tensor tensor)
    {
        using var scope = torch.NewDisposeScope();
        return tensor.detach().cpu().to(torch.float32).contiguous().data<float>().ToArray();
    }

    /// <summary>A row of the last dimension, counted over all others.</summary>
    public static float[] Row(this torch.Tensor tensor, int row)
    {
        using var scope = torch.NewDisposeScope();
        return tensor.flatten(0, -2).select(0, row).Flat();
    }

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
