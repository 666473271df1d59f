using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// The singular value decomposition of a head's bilinear form Ω = Σ_k s_k u_k v_kᵀ, with which the attention score before scaling is
/// r(i, j) = x̃_iᵀ Ω x̃_j for the normalised residual x̃ at destination i and source j (Franco &amp; Crovella, arXiv 2410.00340, section 3).
/// </summary>
public sealed record Omega
{
    private readonly double[] singularValues;
    private readonly double[] left;
    private readonly double[] right;

    internal Omega(Head head, int relativePosition, bool hasConstant, double[] singularValues, double[] left, double[] right)
    {
        (Head, RelativePosition, HasConstant) = (head, relativePosition, hasConstant);
        (this.singularValues, this.left, this.right) = (singularValues, left, right);
    }

    /// <summary>The head.</summary>
    public Head Head { get; }

    /// <summary>The relative position i - j it holds for; 0 where Ω does not depend on it.</summary>
    public int RelativePosition { get; }

    /// <summary>Whether x̃ ends in a constant 1, for the biases.</summary>
    public bool HasConstant { get; }

    /// <summary>s, [d_head], fp64, largest first.</summary>
    public Tensor SingularValues => tensor(singularValues);

    /// <summary>u_k as rows, [d_head, d or d + 1], fp64; read by destinations.</summary>
    public Tensor Left => tensor(left, [Rank, Width]);

    /// <summary>v_k as rows, [d_head, d or d + 1], fp64; read by sources. The signs of a pair are arbitrary together.</summary>
    public Tensor Right => tensor(right, [Rank, Width]);

    /// <summary>The number of directions, d_head.</summary>
    public int Rank => singularValues.Length;

    /// <summary>The length of a direction: d, or d + 1 with the constant.</summary>
    public int Width => left.Length / Rank;

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
    /// <returns>c_k = s_k (u_k · x̃_i)(v_k · x̃_j), [d_head], fp64; they add up to the attention score before the division by √d_head.</returns>
    /// <exception cref="ArgumentException">A vector has another length than d.</exception>
    public Tensor Contributions(Tensor destination, Tensor source)
    {
        ArgumentNullException.ThrowIfNull(destination);
        ArgumentNullException.ThrowIfNull(source);
        var d = Width - (HasConstant ? 1 : 0);
        if (destination.shape is not [var a] || source.shape is not [var b] || a != d || b != d)
        {
            throw new ArgumentException(
                $"The residuals have shapes [{string.Join(", ", destination.shape)}] and [{string.Join(", ", source.shape)}]; expected [{d}].");
        }

        using var scope = NewDisposeScope();
        var contributions = from_array(singularValues).mul(Along(left, destination)).mul(Along(right, source)).MoveToOuterDisposeScope();
        GC.KeepAlive(destination);
        GC.KeepAlive(source);
        return contributions;
    }

    /// <inheritdoc/>
    public override string ToString() => $"Omega of head {Head}: {Rank} directions of {Width}";

    /// <summary>All u_k, or v_k on the source side, one after the other.</summary>
    internal ReadOnlySpan<double> Directions(SignalSide side) => side == SignalSide.Destination ? left : right;

    // The directions are shared with the tensor, not copied. The last bits of a matrix product would depend on where they lie in memory.
    private Tensor Along(double[] directions, Tensor x)
    {
        var wide = x.detach().to(float64).cpu();
        return from_array(directions).view(Rank, Width).mul(HasConstant ? cat([wide, ones(1, float64)]) : wide).sum([1]);
    }
}
