namespace HeadScope;

/// <summary>A norm of a model: LayerNorm or RMSNorm, with its parameters unless they are folded into what reads it.</summary>
public sealed class Norm
{
    internal Norm(NormKind kind, double epsilon, int width, Parameter? gain, Parameter? shift) =>
        (Kind, Epsilon, Width, Gain, Shift) = (kind, epsilon, width, gain, shift);

    /// <summary>LayerNorm or RMSNorm.</summary>
    public NormKind Kind { get; }

    /// <summary>What is added under the square root.</summary>
    public double Epsilon { get; }

    /// <summary>The width of what is normalised.</summary>
    public int Width { get; }

    /// <summary>The gain, [Width]; null when folded.</summary>
    public Tensor? w => Gain?.Fresh();

    /// <summary>The shift, [Width]; null for RMSNorm and when folded.</summary>
    public Tensor? b => Shift?.Fresh();

    internal Parameter? Gain { get; }

    internal Parameter? Shift { get; }

    /// <summary>The norm without parameters, once they are folded.</summary>
    internal Norm Bare() => new(Kind, Epsilon, Width, gain: null, shift: null);

    /// <summary>Normalises the last dimension; sums in fp32 at least.</summary>
    internal Tensor Forward(Tensor x, HookPlace at)
    {
        using var scope = NewDisposeScope();
        if (Kind == NormKind.LayerNorm && !at.Watches("hook_scale") && !at.Watches("hook_normalized"))
        {
            var whole = nn.functional.layer_norm(x, [Width], Gain?.Value, Shift?.Value, Epsilon);
            return at.Visit("hook_out", whole).MoveToOuterDisposeScope();
        }

        var wide = x.element_size() < 4 ? x.to(float32) : x;
        if (Kind == NormKind.LayerNorm)
        {
            wide = wide.sub(wide.mean([-1], keepdim: true));
        }

        var scale = at.Visit("hook_scale", wide.mul(wide).mean([-1], keepdim: true).add_(Scalars.Of(Epsilon), Scalars.One).sqrt_());
        var y = at.Visit("hook_normalized", wide.div(scale).to(x.dtype));
        y = Gain is null ? y : y.mul(Gain.Value);
        y = Shift is null ? y : y.add(Shift.Value, Scalars.One);
        return at.Visit("hook_out", y).MoveToOuterDisposeScope();
    }
}

/// <summary>How the residual stream is normalised before it is read.</summary>
public enum NormKind
{
    /// <summary>(x - mean) / sqrt(variance + epsilon), then gain and shift.</summary>
    LayerNorm,

    /// <summary>x / sqrt(mean square + epsilon), then gain.</summary>
    RmsNorm,
}
