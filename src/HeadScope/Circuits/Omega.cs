namespace HeadScope;

/// <summary>The singular value decomposition of a head's bilinear form Ω = Σ_k s_k u_k v_kᵀ, with which the attention score before scaling is r(i, j)
/// = x̃_iᵀ Ω x̃_j for the normalised residual x̃ at destination i and source j (Franco &amp; Crovella, arXiv 2410.00340, section 3).</summary>
/// <param name="Head">The head.</param>
/// <param name="RelativePosition">The relative position i - j it holds for; 0 where Ω does not depend on it.</param>
/// <param name="HasConstant">Whether x̃ ends in a constant 1, for the biases.</param>
/// <param name="S">The singular values, [d_head], fp64, largest first.</param>
/// <param name="U">u_k as columns, [d, d_head], or [d + 1, d_head] with the constant, fp64; destinations are read by them.</param>
/// <param name="V">v_k as columns, of the same shape; sources are read by them. The signs of a pair are arbitrary together.</param>
public sealed record Omega(Head Head, int RelativePosition, bool HasConstant, Tensor S, Tensor U, Tensor V)
{
    /// <summary>Decomposes one head.</summary>
    /// <param name="model">The model, with its norms folded; see <see cref="Circuit.Fold"/>.</param>
    /// <param name="head">The head.</param>
    /// <param name="relativePosition">i - j; matters for rotary models only.</param>
    /// <returns>The decomposition, on the model's device.</returns>
    /// <exception cref="ArgumentException">There is no such head, or the norms are not folded.</exception>
    public static Omega Of(Model model, Head head, int relativePosition = 0) => Of(model, [head], relativePosition)[0];

    /// <summary>Decomposes all heads of a layer at once.</summary>
    /// <param name="model">The model, with its norms folded; see <see cref="Circuit.Fold"/>.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="relativePosition">i - j; matters for rotary models only.</param>
    /// <returns>The decompositions, by head.</returns>
    /// <exception cref="ArgumentException">There is no such layer, or the norms are not folded.</exception>
    public static IReadOnlyList<Omega> OfLayer(Model model, int layer, int relativePosition = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        return Of(model, [.. Enumerable.Range(0, model.Config.HeadCount).Select(head => new Head(layer, head))], relativePosition);
    }

    /// <summary>What each direction contributes to scores between tokens.</summary>
    /// <param name="destination">x̂_i, normalised residuals at destinations, [..., d]. With vectors of d + 1 the last entry stands for the
    /// constant: 0 for what one component wrote, so that contributions of components add up to those of the whole.</param>
    /// <param name="source">x̂_j, normalised residuals at sources, [..., d] or [..., d + 1].</param>
    /// <returns>c_k = s_k (u_k · x̃_i)(v_k · x̃_j), [..., d_head], fp64; they add up to the attention score before the division by √d_head.</returns>
    /// <exception cref="ArgumentException">A vector has another length, or there is another number of destinations than of sources.</exception>
    public Tensor Contributions(Tensor destination, Tensor source)
    {
        ArgumentNullException.ThrowIfNull(destination);
        ArgumentNullException.ThrowIfNull(source);
        using var scope = NewDisposeScope();
        var (along, other) = (Along(U, destination), Along(V, source));
        Fault.ArgumentIf(
            along.shape[..^1].Reverse().Zip(other.shape[..^1].Reverse()).Any(n => n.First != n.Second && n.First != 1 && n.Second != 1),
            $"Destinations of shape [{string.Join(", ", destination.shape)}] and sources of shape [{string.Join(", ", source.shape)}] are no pairs: "
            + $"expected the same lengths before the last.");
        var contributions = along.mul(other).mul(S).MoveToOuterDisposeScope();
        GC.KeepAlive(this);
        return contributions;
    }

    /// <inheritdoc/>
    public override string ToString() => $"Omega of head {Head}: {S.shape[0]} directions of {U.shape[0]}";

    private static Omega[] Of(Model model, Head[] heads, int relativePosition)
    {
        ArgumentNullException.ThrowIfNull(model);
        var rotates = model.AttentionOf(heads[0]).Rotary is not null;
        Fault.ArgumentIf(
            !model.Processing.Contains(WeightProcessing.FoldLayerNorm),
            $"Ω reads the normalised residual stream: '{model.Name}' must have been through {nameof(WeightProcessing.FoldLayerNorm)} "
            + $"first; {nameof(Circuit)}.{nameof(Circuit.Fold)}(model) returns it so.");
        using var scope = NewDisposeScope();
        using var folded = new FoldedModel(model);
        var cores = folded.Between(heads[0].Layer, Array.ConvertAll(heads, head => new Place(0, head.Index, relativePosition, 0)));
        return [.. heads.Zip(cores, (head, core) => new Omega(
            head,
            rotates ? relativePosition : 0,
            core.HasConstant,
            core.S.clone().MoveToOuterDisposeScope(),
            Whole(core.Sides[(int)SignalSide.Destination]),
            Whole(core.Sides[(int)SignalSide.Source])))];

        static Tensor Whole((Tensor Basis, Tensor Directions) side) => side.Basis.matmul(side.Directions).MoveToOuterDisposeScope();
    }

    // x̃ in the directions of one side, [..., d_head].
    private Tensor Along(Tensor directions, Tensor x)
    {
        var (width, found) = (directions.shape[0], x.dim() == 0 ? 0 : x.shape[^1]);
        Fault.ArgumentIf(
            found != width && !(HasConstant && found == width - 1),
            $"The residuals have the shape [{string.Join(", ", x.shape)}]; expected vectors of {(HasConstant ? $"{width - 1}, or {width} with a last entry for the constant" : $"{width}")}.");
        var wide = x.detach().to(float64).to(directions.device);
        var along = wide.matmul(directions.narrow(0, 0, found));
        return found == width ? along : along.add(directions[width - 1], Scalars.One);
    }
}
