namespace HeadScope;

/// <summary>A linear map y = x W + b of a model.</summary>
/// <param name="Weight">W as stored: [out, in], or [in, out] where <paramref name="InputsByRow"/>.</param>
/// <param name="InputsByRow">Whether a stored row belongs to an input.</param>
/// <param name="Bias">b, [out]; null for none.</param>
internal sealed record Linear(Parameter Weight, bool InputsByRow, Parameter? Bias)
{
    public long Inputs => Weight.Shape[InputsByRow ? 0 : 1];

    public long Outputs => Weight.Shape[InputsByRow ? 1 : 0];

    public Tensor Forward(Tensor x) => nn.functional.linear(x, OutputsByRow(Weight.Value), Bias?.Value);

    /// <summary>x W + b, W read some outputs at a time where it does not stay in memory and may be too much for it.</summary>
    public Tensor ForwardByRows(Tensor x)
    {
        if (Weight.Stays)
        {
            return Forward(x);
        }

        Tensor[] parts = [.. Weight.Chunks().Select(part => Part(x, part.First, part.Count))];
        return parts.Length == 1 ? parts[0] : cat(parts, -1);
    }

    /// <summary>W for users, [in, out].</summary>
    public Tensor Transposed()
    {
        using var scope = NewDisposeScope();
        return OutputsByRow(Weight.Fresh()).t().MoveToOuterDisposeScope();
    }

    /// <summary>W for users, split into heads: [head, in, out / heads] where heads lie side by side in the outputs, else
    /// [head, in / heads, out].</summary>
    public Tensor ByHead(long heads, bool ofOutputs)
    {
        using var scope = NewDisposeScope();
        var weight = OutputsByRow(Weight.Fresh()).t();
        var split = ofOutputs
            ? weight.unflatten(1, heads, Outputs / heads).transpose(0, 1)
            : weight.unflatten(0, heads, Inputs / heads);
        return split.MoveToOuterDisposeScope();
    }

    private Tensor OutputsByRow(Tensor stored) => InputsByRow ? stored.t() : stored;

    private Tensor Part(Tensor x, long first, long count)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, Weight.Rows(first, count), Bias?.Rows(first, count)).MoveToOuterDisposeScope();
    }
}
