using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>A tensor's own memory, for loops that torch's operations would take several passes for.</summary>
internal static class TensorMemory
{
    /// <summary>The numbers of a tensor, row-major; what is written is written to the tensor. The tensor must outlive the span's use.</summary>
    /// <exception cref="ArgumentException">The tensor is not contiguous, on another device, or of another type.</exception>
    public static Span<T> Memory<T>(this Tensor tensor)
        where T : unmanaged
    {
        if (tensor.device_type != DeviceType.CPU || !tensor.is_contiguous() || tensor.element_size() != Unsafe.SizeOf<T>())
        {
            throw new ArgumentException(
                $"Expected a contiguous tensor of {typeof(T).Name} on the CPU; found {tensor.dtype} [{string.Join(", ", tensor.shape)}] on {tensor.device}.",
                nameof(tensor));
        }

        return MemoryMarshal.Cast<byte, T>(tensor.bytes);
    }

    /// <summary>A copy of the numbers of a tensor, of whatever type and device, row-major.</summary>
    public static T[] Copied<T>(this Tensor tensor)
        where T : unmanaged
    {
        using var scope = NewDisposeScope();
        var type = typeof(T) switch
        {
            var t when t == typeof(float) => float32,
            var t when t == typeof(double) => float64,
            var t when t == typeof(int) => int32,
            var t when t == typeof(bool) => @bool,
            _ => int64,
        };
        var numbers = tensor.detach().to(type).cpu().contiguous().Memory<T>().ToArray();
        GC.KeepAlive(tensor);
        return numbers;
    }
}
