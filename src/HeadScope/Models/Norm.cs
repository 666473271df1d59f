using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>A norm of a model: LayerNorm or RMSNorm, with its parameters unless they are folded into what reads it.</summary>
public sealed class Norm
{
    private readonly Lazy<float[]>? gain;
    private readonly Lazy<float[]>? shift;

    internal Norm(NormKind kind, double epsilon, int width, Lazy<float[]>? gain, Lazy<float[]>? shift)
    {
        Kind = kind;
        Epsilon = epsilon;
        Width = width;
        this.gain = gain;
        this.shift = shift;
    }

    /// <summary>LayerNorm or RMSNorm.</summary>
    public NormKind Kind { get; }

    /// <summary>What is added under the square root.</summary>
    public double Epsilon { get; }

    /// <summary>The width of what is normalised.</summary>
    public int Width { get; }

    /// <summary>The gain, [Width]; empty when folded.</summary>
    public ReadOnlySpan<float> Gain => gain is null ? [] : gain.Value;

    /// <summary>The shift, [Width]; empty for RMSNorm and when folded.</summary>
    public ReadOnlySpan<float> Shift => shift is null ? [] : shift.Value;

    internal Lazy<float[]>? LazyGain => gain;

    internal Lazy<float[]>? LazyShift => shift;

    /// <summary>Normalises each row, with gain and shift.</summary>
    /// <param name="x">The rows, [n, Width].</param>
    /// <param name="y">Takes the normalised rows, [n, Width]; may be the same memory as x.</param>
    public void Apply(ReadOnlyMatrix x, Matrix y)
    {
        for (var row = 0; row < x.Rows; row++)
        {
            var target = y.Row(row);
            Divide(x.Row(row), Scale(x.Row(row)), target);
            Finish(target, target);
        }
    }

    /// <summary>What a row is divided by: sqrt(variance + ε) or sqrt(mean square + ε).</summary>
    /// <param name="x">The row, [Width].</param>
    /// <returns>The scale (<c>hook_scale</c>).</returns>
    public float Scale(ReadOnlySpan<float> x)
    {
        var squares = Kind == NormKind.RmsNorm
            ? DoubleSums.SumOfSquares(x)
            : DoubleSums.SumOfSquaredDeviations(x, Center(x));
        return (float)Math.Sqrt((squares / x.Length) + Epsilon);
    }

    /// <summary>The row before gain and shift (<c>hook_normalized</c>), for a scale that may have been changed.</summary>
    internal void Divide(ReadOnlySpan<float> x, float scale, Span<float> y)
    {
        var mean = Center(x);
        var factor = 1.0 / scale;
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = (float)((x[i] - mean) * factor);
        }
    }

    /// <summary>Gain and shift (<c>hook_out</c>); the result may be the same memory.</summary>
    internal void Finish(ReadOnlySpan<float> normalized, Span<float> y)
    {
        if (gain is null)
        {
            normalized.CopyTo(y);
        }
        else
        {
            TensorPrimitives.Multiply(normalized, gain.Value, y);
        }

        if (shift is not null)
        {
            TensorPrimitives.Add(y, shift.Value, y);
        }
    }

    private double Center(ReadOnlySpan<float> x) => Kind == NormKind.RmsNorm ? 0 : DoubleSums.Sum(x) / x.Length;
}
