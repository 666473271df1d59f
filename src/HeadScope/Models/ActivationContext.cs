namespace HeadScope;

/// <summary>An activation during a forward pass, as an <see cref="ActivationHook"/> sees it. Valid only during the call.</summary>
public sealed class ActivationContext
{
    private readonly float[] values;
    private readonly int length;
    private readonly int[] shape;

    internal ActivationContext(string name, int? layer, float[] values, int[] shape, IReadOnlyList<int> lengths)
    {
        Name = name;
        Layer = layer;
        Lengths = lengths;
        this.values = values;
        this.shape = shape;
        length = shape.Aggregate(1, (product, n) => product * n);
    }

    /// <summary>The full name: <c>blocks.3.attn.hook_z</c>.</summary>
    public string Name { get; }

    /// <summary>The layer; null for an activation outside the blocks.</summary>
    public int? Layer { get; }

    /// <summary>The shape, such as [batch, position, head, d_head].</summary>
    public IReadOnlyList<int> Shape => shape;

    /// <summary>The number of tokens of each sequence of the batch; positions from there on are padding.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>The numbers, the last index running fastest. What is written here goes on through the model.</summary>
    public Span<float> Values => values.AsSpan(0, length);

    /// <summary>The numbers at some leading indices: for <c>hook_z</c>, <c>At(b, t, h)</c> is the output of head h at position t.</summary>
    /// <param name="indices">The first indices; the rest stays whole.</param>
    /// <returns>A part of <see cref="Values"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are more indices than dimensions, or one is outside.</exception>
    public Span<float> At(params ReadOnlySpan<int> indices)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(indices.Length, shape.Length, nameof(indices));
        var (start, size) = (0, length);
        for (var i = 0; i < indices.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(indices[i], nameof(indices));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(indices[i], shape[i], nameof(indices));
            size /= shape[i];
            start += indices[i] * size;
        }

        return Values.Slice(start, size);
    }
}
