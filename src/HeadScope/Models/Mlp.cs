namespace HeadScope;

/// <summary>An MLP: Output(f(In(x))), or gated Output(f(Gate(x)) ⊙ In(x)).</summary>
/// <param name="In">d_model → d_mlp; for a gated MLP the linear branch.</param>
/// <param name="Gate">d_model → d_mlp, the branch that goes through the nonlinearity; null when not gated.</param>
/// <param name="Output">d_mlp → d_model.</param>
/// <param name="Activation">The nonlinearity f.</param>
public sealed record Mlp(Linear In, Linear? Gate, Linear Output, ActivationFunction Activation)
{
    /// <summary>y = MLP(x), without a residual.</summary>
    /// <param name="x">Normalised rows, [n, d_model].</param>
    /// <param name="y">Takes the result, [n, d_model].</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public void Apply(ReadOnlyMatrix x, Matrix y)
    {
        // Blocks of rows keep the hidden activations small however many rows there are.
        const int block = 512;
        var hidden = new float[Math.Min(block, x.Rows) * In.Outputs];
        var linear = Gate is null ? [] : new float[hidden.Length];
        for (var first = 0; first < x.Rows; first += block)
        {
            var count = Math.Min(block, x.Rows - first);
            var rows = x.SliceRows(first, count);
            var h = new Matrix(hidden.AsSpan(0, count * In.Outputs), count, In.Outputs);
            (Gate ?? In).Apply(rows, h);
            if (Gate is not null)
            {
                In.Apply(rows, new(linear, count, In.Outputs));
            }

            Activate(h.Values, linear.AsSpan(0, Gate is null ? 0 : h.Values.Length), h.Values);
            Output.Apply(h, new(y.Values[(first * y.Stride)..], count, y.Columns, y.Stride));
        }
    }

    /// <summary>The hidden values after the nonlinearity (<c>hook_post</c>).</summary>
    /// <param name="pre">What goes through the nonlinearity (<c>hook_pre</c>).</param>
    /// <param name="linear">The other factor (<c>hook_pre_linear</c>); empty when not gated.</param>
    /// <param name="post">Takes the result; may be the same memory as <paramref name="pre"/>.</param>
    internal void Activate(ReadOnlySpan<float> pre, ReadOnlySpan<float> linear, Span<float> post)
    {
        switch (Activation)
        {
            case ActivationFunction.Gelu:
                Elementwise.Gelu(pre, post);
                break;
            case ActivationFunction.GeluTanh:
                Elementwise.GeluTanh(pre, post);
                break;
            default:
                Elementwise.Silu(pre, post);
                break;
        }

        if (!linear.IsEmpty)
        {
            System.Numerics.Tensors.TensorPrimitives.Multiply(post, linear, post);
        }
    }
}
