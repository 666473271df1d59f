using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The decomposition of a head's Ω within the orthonormal bases of its two factors (<see cref="OmegaFactors"/>): u_k = Q_Q û_k,
/// v_k = Q_K v̂_k. Contributions need no more than û, v̂ and the tokens in these bases, all d_head wide.
/// </summary>
internal sealed class OmegaCore
{
    private readonly double[] left;
    private readonly double[] right;
    private readonly int leftWidth;
    private readonly int rightWidth;

    private OmegaCore(double[] singularValues, double[] left, int leftWidth, double[] right, int rightWidth)
    {
        SingularValues = singularValues;
        this.left = left;
        this.right = right;
        this.leftWidth = leftWidth;
        this.rightWidth = rightWidth;
    }

    /// <summary>s, largest first.</summary>
    public double[] SingularValues { get; }

    /// <summary>The number of directions.</summary>
    public int Rank => SingularValues.Length;

    public static OmegaCore Of(SmallSvd svd)
    {
        var (rows, rank) = ((int)svd.U.Lengths[0], (int)svd.U.Lengths[1]);
        var columns = new double[rank * rows];
        var u = svd.U.AsFlatSpan();
        for (var k = 0; k < rank; k++)
        {
            for (var row = 0; row < rows; row++)
            {
                columns[(k * rows) + row] = u[(row * rank) + k];
            }
        }

        return new(svd.SingularValues.AsFlatSpan().ToArray(), columns, rows, svd.VTransposed.AsFlatSpan().ToArray(), (int)svd.VTransposed.Lengths[1]);
    }

    /// <summary>All û_k, or v̂_k on the source side, one after the other.</summary>
    public ReadOnlySpan<double> Directions(SignalSide side) => side == SignalSide.Destination ? left : right;

    /// <summary>û_k, or v̂_k on the source side.</summary>
    public ReadOnlySpan<double> Direction(SignalSide side, int k) => side == SignalSide.Destination
        ? left.AsSpan(k * leftWidth, leftWidth)
        : right.AsSpan(k * rightWidth, rightWidth);

    /// <summary>c_k = s_k a_k b_k for every direction, with a_k = u_k · x̃_i and b_k = v_k · x̃_j.</summary>
    /// <param name="destination">x̃_i in the basis of the left side.</param>
    /// <param name="source">x̃_j in the basis of the right side.</param>
    /// <returns>The contributions, and a.</returns>
    public (double[] Contributions, double[] Destination) Contributions(ReadOnlySpan<float> destination, ReadOnlySpan<float> source)
    {
        var (a, b) = (Project(SignalSide.Destination, destination), Project(SignalSide.Source, source));
        var contributions = new double[Rank];
        for (var k = 0; k < Rank; k++)
        {
            contributions[k] = SingularValues[k] * a[k] * b[k];
        }

        return (contributions, a);
    }

    /// <summary>u_k · x̃ (v_k · x̃) for every direction, x̃ being given in the basis of the side.</summary>
    public double[] Project(SignalSide side, ReadOnlySpan<float> x)
    {
        Span<double> wide = x.Length <= 256 ? stackalloc double[x.Length] : new double[x.Length];
        TensorPrimitives.ConvertTruncating(x, wide);
        var projections = new double[Rank];
        for (var k = 0; k < Rank; k++)
        {
            projections[k] = TensorPrimitives.Dot<double>(Direction(side, k), wide);
        }

        return projections;
    }
}
