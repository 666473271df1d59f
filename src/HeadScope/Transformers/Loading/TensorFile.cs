namespace HeadScope.Transformers.Loading;

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
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    public abstract void Read(string name, long start, Span<float> destination);

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
