namespace HeadScope;

/// <summary>The few singular directions that make each of some scores: the fewest leading contributions whose sum exceeds the whole score, the
/// negative ones being left to cancel against the positive rest (arXiv 2410.00340, section 4); all where no leading part exceeds it. In
/// fp64.</summary>
/// <param name="Order">All directions, strongest first, [score, direction].</param>
/// <param name="Sizes">How many of them are in the set, [score].</param>
/// <param name="Scores">The whole scores r = Σ_k c_k, [score].</param>
/// <param name="Margins">How far the deciding running shares of a score are from 1, [score]; near 0 the set is a matter of rounding.</param>
/// <param name="Solved">Whether a leading part exceeds the score, [score].</param>
internal sealed record SparseSets(Tensor Order, Tensor Sizes, Tensor Scores, Tensor Margins, Tensor Solved)
{
    /// <summary>Whether each direction is in the set, [score, direction].</summary>
    public Tensor Members => zeros_like(Order, @bool).scatter_(1, Order, ones_like(Order).cumsum(1).le(Sizes.unsqueeze(1)));

    /// <summary>Chooses the sets of some scores from the contributions of all directions, [score, direction].</summary>
    public static SparseSets Of(Tensor contributions)
    {
        var rank = contributions.shape[1];
        var scores = contributions.sum([1], keepdim: true);
        var sign = scores.gt(Scalars.Of(0)).to(float64).mul(Scalars.Of(2)).sub(Scalars.One);
        var (sorted, order) = contributions.mul(sign).sort(1, descending: true, stable: true);
        var shares = sorted.mul(sign).cumsum(1).div(scores);
        var before = shares.gt(Scalars.One).logical_not().to(int64).cumprod(1).sum([1], keepdim: true);
        var solved = before.lt(Scalars.Of(rank));
        var last = before.clamp(max: Scalars.Of(rank - 1)).to(int64);
        var beyond = shares.gather(1, last).sub(Scalars.One);
        var below = shares.gather(1, last.sub(Scalars.One).clamp(min: Scalars.Of(0)).to(int64)).neg().add(Scalars.One, Scalars.One);
        var margins = where(solved.logical_and(before.gt(Scalars.Of(0))), beyond.minimum(below), beyond.abs());
        return new(order, last.add(Scalars.One, Scalars.One).squeeze(1), scores.squeeze(1), margins.squeeze(1), solved.squeeze(1));
    }
}
