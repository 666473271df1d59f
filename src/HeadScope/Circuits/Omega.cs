using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The singular value decomposition of a head's bilinear form Ω = Σ_k s_k u_k v_kᵀ, with which the attention score before scaling is
/// r(i, j) = x̃_iᵀ Ω x̃_j for the normalised residual x̃ at destination i and source j (Franco &amp; Crovella, arXiv 2410.00340, section 3).
/// </summary>
/// <param name="Head">The head.</param>
/// <param name="RelativePosition">The relative position i - j it holds for; 0 where Ω does not depend on it.</param>
/// <param name="HasConstant">Whether x̃ ends in a constant 1, for the biases.</param>
/// <param name="SingularValues">s, [d_head], largest first.</param>
/// <param name="Left">u_k as rows, [d_head, d or d + 1]; read by destinations.</param>
/// <param name="Right">v_k as rows, [d_head, d or d + 1]; read by sources. The signs of a pair are arbitrary together.</param>
public sealed record Omega(
    Head Head, int RelativePosition, bool HasConstant, Tensor<double> SingularValues, Tensor<double> Left, Tensor<double> Right)
{
    /// <summary>The number of directions, d_head.</summary>
    public int Rank => (int)SingularValues.Lengths[0];

    /// <summary>The length of a direction: d, or d + 1 with the constant.</summary>
    public int Width => (int)Left.Lengths[1];

    /// <summary>Decomposes one head.</summary>
    /// <param name="model">The model, with its norms folded; see <see cref="CircuitModel"/>.</param>
    /// <param name="head">The head.</param>
    /// <param name="relativePosition">i - j; matters for rotary models only.</param>
    /// <returns>The decomposition.</returns>
    /// <exception cref="ArgumentException">There is no such head, or the norms are not folded.</exception>
    public static Omega Of(Model model, Head head, int relativePosition = 0) =>
        OmegaFactors.DecomposeOnce(model, head, relativePosition);

    /// <summary>What each direction contributes to the score between two tokens.</summary>
    /// <param name="destination">x̂_i, the normalised residual at the destination, [d].</param>
    /// <param name="source">x̂_j, the normalised residual at the source, [d].</param>
    /// <returns>c_k = s_k (u_k · x̃_i)(v_k · x̃_j), [d_head]; they add up to the attention score before the division by √d_head.</returns>
    /// <exception cref="ArgumentException">A vector has another length than d.</exception>
    public double[] Contributions(ReadOnlySpan<float> destination, ReadOnlySpan<float> source)
    {
        var d = Width - (HasConstant ? 1 : 0);
        if (destination.Length != d || source.Length != d)
        {
            throw new ArgumentException($"The residuals have {destination.Length} and {source.Length} channels; expected {d}.");
        }

        var contributions = new double[Rank];
        for (var k = 0; k < Rank; k++)
        {
            contributions[k] = SingularValues[k] * Along(Left, k, destination) * Along(Right, k, source);
        }

        return contributions;
    }

    private double Along(Tensor<double> directions, int k, ReadOnlySpan<float> x)
    {
        var direction = directions.AsFlatSpan().Slice(k * Width, Width);
        var sum = HasConstant ? direction[^1] : 0;
        for (var i = 0; i < x.Length; i++)
        {
            sum += direction[i] * x[i];
        }

        return sum;
    }
}
