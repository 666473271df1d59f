using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>What is added for one edge in one prompt.</summary>
/// <param name="Prompt">The prompt, counted within its batch.</param>
/// <param name="Edge">The edge, by its number.</param>
/// <param name="Position">The token.</param>
/// <param name="Vector">What is added, [d]: globally to what the sender's layer wrote, locally to the normalised residual.</param>
/// <param name="Constant">What is added to the constant 1 behind the normalised residual; 0 globally and in the published way.</param>
internal sealed record SignalChange(int Prompt, int Edge, int Position, float[] Vector, float Constant)
{
    /// <summary>The same change, as large as another; unchanged where it is zero.</summary>
    public SignalChange WithNormOf(SignalChange other)
    {
        var norm = TensorPrimitives.Norm<float>(Vector);
        if (norm == 0)
        {
            return this;
        }

        var factor = TensorPrimitives.Norm<float>(other.Vector) / norm;
        return this with { Vector = [.. Vector.Select(v => v * factor)], Constant = Constant * factor };
    }
}
