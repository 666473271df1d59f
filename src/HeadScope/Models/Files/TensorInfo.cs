namespace HeadScope;

/// <summary>One tensor of a <see cref="TensorFile"/>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its lengths, outermost first (row-major), also for GGUF, whose files list them innermost first.</param>
/// <param name="DataType">How the file stores it: <c>F32</c>, <c>BF16</c>, <c>Q4_K</c>, …</param>
public sealed record TensorInfo(string Name, IReadOnlyList<long> Shape, string DataType)
{
    /// <summary>The number of numbers: the product of the shape, 1 for a scalar (shape <c>[]</c>).</summary>
    public long Length => Shape.Aggregate(1L, (product, length) => checked(product * length));
}
