namespace HeadScope;

/// <summary>
/// A model folded for one call (<see cref="Circuit.Fold"/>), with the decompositions of its heads that the call asks for, each made once; what was
/// made is freed when the call ends, for the collector does not see it.
/// <para>
/// Ω = [W_Q; b_Qᵀ] R(-Δ) [W_K; b_Kᵀ]ᵀ has rank d_head, so its singular value decomposition is that of the d_head × d_head core between the
/// orthogonalised factors: exact, and never d × d. With rotary positions Ω depends on the relative position Δ, but the factors do not.
/// </para>
/// </summary>
internal sealed class FoldedModel(Model given) : IDisposable
{
    private readonly Dictionary<Head, Orthogonalized[]> factors = [];
    private readonly Dictionary<(Head Head, int RelativePosition), OmegaCore> cores = [];
    private readonly List<Tensor> held = [];

    public Model Model { get; } = Circuit.Fold(given);

    /// <summary>Whether a constant 1 stands behind the normalised residual that a layer reads, for the biases of query and key.</summary>
    public bool HasConstant(int layer) => Model.Net.Blocks[layer].Attention is { Query.Bias: not null } or { Key.Bias: not null };

    /// <summary>The decompositions of heads of a layer, one for each place.</summary>
    public OmegaCore[] Between(int layer, IReadOnlyList<Place> places)
    {
        var rotates = Model.Net.Blocks[layer].Attention.Rotary is not null;
        var pairs = places.Select(p => (Head: new Head(layer, p.Head), RelativePosition: rotates ? p.Destination - p.Source : 0)).ToArray();
        if (pairs.Distinct().Where(pair => !cores.ContainsKey(pair)).ToArray() is { Length: > 0 } missing)
        {
            using var scope = NewDisposeScope();
            using var noGradients = no_grad();
            Factorize(layer, [.. missing.Select(pair => pair.Head).Distinct().Where(head => !factors.ContainsKey(head))]);
            Decompose(layer, missing);
        }

        return Array.ConvertAll(pairs, pair => cores[pair]);
    }

    public void Dispose()
    {
        held.ForEach(tensor => tensor.Dispose());
        foreach (var made in ParametersOf(Model.Net).Except(ParametersOf(given.Net)))
        {
            made.Release();
        }
    }

    private static IEnumerable<Parameter> ParametersOf(Transformer net) =>
        net.Blocks.SelectMany(b => new[] { b.Attention.Query, b.Attention.Key, b.Attention.Value, b.Attention.Output, b.Mlp.Input, b.Mlp.Gate, b.Mlp.Output })
            .Append(net.Unembedding).OfType<Linear>().SelectMany(linear => new[] { linear.Weight, linear.Bias })
            .Concat([net.Embedding, net.Positions]).OfType<Parameter>();

    // The factors of some heads at once: sources first.
    private void Factorize(int layer, Head[] heads)
    {
        if (heads.Length == 0)
        {
            return;
        }

        var attention = Model.Net.Blocks[layer].Attention;
        Orthogonalized[] sides =
        [
            Of(attention.W_K, attention.b_K, head => head.Index / Model.Config.GroupSize), Of(attention.W_Q, attention.b_Q, head => head.Index),
        ];
        for (var n = 0; n < heads.Length; n++)
        {
            factors.Add(heads[n], Array.ConvertAll(sides, side => new Orthogonalized(Hold(side.Basis[n]), Hold(side.Turn[n]), Hold(side.Triangle[n]))));
        }

        // The row below the weights: zeros where the other side alone has biases.
        Orthogonalized Of(Tensor weight, Tensor? bias, Func<Head, int> row)
        {
            var rows = tensor([.. heads.Select(head => (long)row(head))], device: weight.device);
            var wide = weight.index_select(0, rows).to(float64);
            var below = bias is null ? zeros([heads.Length, wide.shape[2]], float64, wide.device) : bias.index_select(0, rows).to(float64);
            return Orthogonalized.Of(HasConstant(layer) ? cat([wide, below.unsqueeze(1)], 1) : wide);
        }
    }

    private void Decompose(int layer, (Head Head, int RelativePosition)[] pairs)
    {
        var left = stack([.. pairs.Select(pair => factors[pair.Head][1].Triangle)]);
        var right = stack([.. pairs.Select(pair => factors[pair.Head][0].Triangle)]);
        if (Model.Net.Blocks[layer].Attention.Rotary is { } rotary)
        {
            // The rows of R, each turned as the model turns a query that stands so much further on: R_Q R(-Δ).
            var angles = rotary.At([.. pairs.Select(pair => (long)pair.RelativePosition)], pairs.Length, left.device, float64);
            left = angles.Turn(left.unsqueeze(1)).squeeze(1);
        }

        var (u, s, vh) = linalg.svd(left.bmm(right.transpose(1, 2)), fullMatrices: false);
        for (var n = 0; n < pairs.Length; n++)
        {
            var (source, destination) = (factors[pairs[n].Head][0], factors[pairs[n].Head][1]);
            cores.Add(pairs[n], new(
                HasConstant(layer),
                Hold(s[n]),
                [(source.Basis, Hold(source.Turn.matmul(vh[n].t()))), (destination.Basis, Hold(destination.Turn.matmul(u[n])))]));
        }
    }

    private Tensor Hold(Tensor tensor)
    {
        held.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }
}

/// <summary>Ω of a head at a relative position within the bases of its two factors: u_k = B_Q û_k, v_k = B_K v̂_k.</summary>
/// <param name="HasConstant">Whether the last entry of a direction is for the constant.</param>
/// <param name="S">Singular values, [d_head], fp64.</param>
/// <param name="Sides">By <see cref="SignalSide"/>: the basis, [d or d + 1, d_head], and the directions in it as columns, [d_head, d_head].</param>
internal sealed record OmegaCore(bool HasConstant, Tensor S, (Tensor Basis, Tensor Directions)[] Sides)
{
    /// <summary>u_k · x̃ (v_k · x̃ on the source side) of rows without their last entry, [n, d] to [n, d_head] in fp64.</summary>
    /// <param name="side">The side.</param>
    /// <param name="x">The rows.</param>
    /// <param name="withConstant">Whether the last entry is 1, where the head has biases; else it is 0.</param>
    public Tensor Project(SignalSide side, Tensor x, bool withConstant = true)
    {
        var (basis, directions) = Sides[(int)side];
        var inBasis = x.matmul(basis.narrow(0, 0, x.shape[1]).to(x.dtype)).to(float64);
        return (HasConstant && withConstant ? inBasis.add(basis[x.shape[1]], Scalars.One) : inBasis).matmul(directions);
    }

    /// <summary>Σ_k a_k u_k (v_k on the source side), [n, d_head] to [n, d], or [n, d + 1] with biases, in fp64.</summary>
    public Tensor Combine(SignalSide side, Tensor amounts) =>
        amounts.matmul(Sides[(int)side].Directions.t()).matmul(Sides[(int)side].Basis.t());
}
