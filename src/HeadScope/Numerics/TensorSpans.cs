using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>The numbers of a dense <see cref="Tensor{T}"/> as one span or as a matrix, without copying.</summary>
internal static class TensorSpans
{
    /// <summary>All numbers in order, the last index running fastest.</summary>
    /// <param name="tensor">A tensor without gaps, such as every tensor HeadScope returns.</param>
    /// <typeparam name="T">The type of the numbers.</typeparam>
    /// <returns>The numbers of the tensor itself: writing to the span writes to the tensor.</returns>
    /// <exception cref="ArgumentException">The tensor is a view with gaps.</exception>
    public static Span<T> AsFlatSpan<T>(this Tensor<T> tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (!tensor.IsDense)
        {
            throw new ArgumentException(
                "The tensor is a view with gaps between its numbers; make a dense copy of it first.", nameof(tensor));
        }

        var length = checked((int)tensor.FlattenedLength);
        return length == 0 ? [] : MemoryMarshal.CreateSpan(ref Unsafe.AsRef(in tensor.GetPinnableReference()), length);
    }

    /// <summary>A tensor as a matrix: the last index counts columns, all others together count rows.</summary>
    /// <param name="tensor">A tensor without gaps, of at least one dimension.</param>
    /// <returns>A view of the tensor itself.</returns>
    /// <exception cref="ArgumentException">The tensor is a view with gaps, or has no dimension.</exception>
    public static Matrix AsMatrix(this Tensor<float> tensor)
    {
        var values = tensor.AsFlatSpan();
        if (tensor.Rank == 0)
        {
            throw new ArgumentException("A tensor without dimensions has no columns.", nameof(tensor));
        }

        var rows = 1;
        foreach (var length in tensor.Lengths[..^1])
        {
            rows = checked(rows * (int)length);
        }

        return new Matrix(values, rows, checked((int)tensor.Lengths[^1]));
    }
}
