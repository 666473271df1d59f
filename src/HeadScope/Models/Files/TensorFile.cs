using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// A file, or several that belong together, of named tensors. Opening reads the directory of tensors only; numbers are read and
/// decoded to fp32 when asked for. Safe to read from several threads.
/// </summary>
public abstract class TensorFile : IDisposable
{
    /// <summary>The file, or the folder where there are several; for error messages.</summary>
    public abstract string Path { get; }

    /// <summary>The tensors by name.</summary>
    public abstract IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Decodes neighbouring numbers of a tensor to fp32.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="start">The first number, counted row-major from 0.</param>
    /// <param name="destination">Takes as many numbers as it has room for.</param>
    /// <exception cref="InvalidDataException">There is no such tensor, or the file is cut or damaged there.</exception>
    /// <exception cref="NotSupportedException">The tensor is stored in a way that cannot be decoded.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public abstract void Read(string name, long start, Span<float> destination);

    /// <summary>Decodes a whole tensor to fp32.</summary>
    /// <param name="name">The tensor.</param>
    /// <returns>Its numbers, in the shape the file states; [1] for a scalar, since a <see cref="Tensor{T}"/> has at least one axis.</returns>
    /// <exception cref="InvalidDataException">There is no such tensor, or the file is cut or damaged there.</exception>
    /// <exception cref="NotSupportedException">It is stored in a way that cannot be decoded, or too large for one array.</exception>
    /// <exception cref="ObjectDisposedException">The file has been disposed.</exception>
    public Tensor<float> Read(string name)
    {
        var info = Find(name);
        var values = new float[ArrayLength(info)];
        Read(name, 0, values);
        return Tensor.Create(values, info.Shape is [] ? [1] : [.. info.Shape.Select(length => (nint)length)]);
    }

    /// <summary>Looks a tensor up.</summary>
    /// <param name="name">The tensor.</param>
    /// <returns>What the file says about it.</returns>
    /// <exception cref="InvalidDataException">There is no such tensor.</exception>
    protected TensorInfo Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Tensors.TryGetValue(name, out var info)
            ? info
            : throw new InvalidDataException($"'{Path}' has no tensor '{name}' among its {Tensors.Count}.");
    }

    /// <summary>The number of numbers of a tensor as an array's length.</summary>
    /// <param name="info">The tensor.</param>
    /// <returns>Its length.</returns>
    /// <exception cref="NotSupportedException">An array cannot be that long.</exception>
    protected int ArrayLength(TensorInfo info)
    {
        ArgumentNullException.ThrowIfNull(info);
        return info.Length <= Array.MaxLength
            ? (int)info.Length
            : throw new NotSupportedException(
                $"'{Path}', tensor '{info.Name}': {info.Length} numbers are too many for one array; read it in ranges.");
    }

    /// <summary>Checks that a range lies inside a tensor.</summary>
    /// <param name="info">The tensor.</param>
    /// <param name="start">The first number.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    protected static void CheckRange(TensorInfo info, long start, int count)
    {
        ArgumentNullException.ThrowIfNull(info);
        if (start < 0 || start > info.Length - count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(start), start, $"Tensor '{info.Name}' has {info.Length} numbers; {count} from {start} on are not all inside it.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the file.</summary>
    /// <param name="disposing">Whether called from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
