using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// A model folded for one call (<see cref="Circuit.Fold"/>), with the decompositions of its heads that the call asks for, each made once.
/// Directions are kept within the bases of the factors, d_head wide; vectors go into them and back by two products. What was made is freed
/// when the call ends, for the collector does not see it.
/// </summary>
internal sealed class FoldedModel(Model given) : IDisposable
{
    private readonly Dictionary<int, OmegaFactors> factors = [];
    private readonly Dictionary<(Head Head, int RelativePosition), OmegaCore> cores = [];
    private readonly List<Tensor> held = [];

    public Model Model { get; } = Circuit.Fold(given);

    /// <summary>The decompositions of heads of a layer, one for each place.</summary>
    public OmegaCore[] Between(int layer, IReadOnlyList<Place> places)
    {
        var rotates = Model.Net.Blocks[layer].Attention.Rotary is not null;
        var pairs = places.Select(p => (Head: new Head(layer, p.Head), RelativePosition: rotates ? p.Destination - p.Source : 0)).ToArray();
        if (pairs.Distinct().Where(pair => !cores.ContainsKey(pair)).ToArray() is { Length: > 0 } missing)
        {
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

    private void Decompose(int layer, (Head Head, int RelativePosition)[] pairs)
    {
        using var scope = NewDisposeScope();
        if (!factors.TryGetValue(layer, out var ofLayer))
        {
            factors.Add(layer, ofLayer = new(Model, layer, [.. Enumerable.Range(0, Model.Config.HeadCount)]));
            Hold(ofLayer.Query.Basis, ofLayer.Query.Triangle, ofLayer.Key.Basis, ofLayer.Key.Triangle);
        }

        var (u, s, v) = ofLayer.Decompose([.. pairs.Select(pair => (pair.Head.Index, pair.RelativePosition))]);
        for (var n = 0; n < pairs.Length; n++)
        {
            var core = new OmegaCore(
                ofLayer.HasConstant, s[n], (ofLayer.Key.Basis[pairs[n].Head.Index], v[n]), (ofLayer.Query.Basis[pairs[n].Head.Index], u[n]));
            Hold([core.S, .. core.Sides.SelectMany(side => new[] { side.Basis, side.Directions })]);
            cores.Add(pairs[n], core);
        }
    }

    private void Hold(params Tensor[] tensors) => held.AddRange(tensors.Select(tensor => tensor.DetachFromDisposeScope()));
}

/// <summary>Ω of a head at a relative position within the bases of its two factors: u_k = Q_Q û_k, v_k = Q_K v̂_k.</summary>
internal sealed class OmegaCore(bool hasConstant, Tensor s, (Tensor Basis, Tensor Directions) source, (Tensor Basis, Tensor Directions) destination)
{
    /// <summary>Singular values, [d_head], fp64.</summary>
    public Tensor S => s;

    /// <summary>By <see cref="SignalSide"/>: the basis, [d or d + 1, d_head], and the directions in it as columns, [d_head, d_head].</summary>
    public (Tensor Basis, Tensor Directions)[] Sides { get; } = [source, destination];

    /// <summary>u_k · x̃ (v_k · x̃ on the source side) of rows without their last entry, [n, d] to [n, d_head] in fp64.</summary>
    /// <param name="side">The side.</param>
    /// <param name="x">The rows.</param>
    /// <param name="withConstant">Whether the last entry is 1, where the head has biases; else it is 0.</param>
    public Tensor Project(SignalSide side, Tensor x, bool withConstant = true)
    {
        var (basis, directions) = Sides[(int)side];
        var inBasis = x.matmul(basis.narrow(0, 0, x.shape[1]).to(x.dtype)).to(float64);
        return (hasConstant && withConstant ? inBasis.add(basis[x.shape[1]], Scalars.One) : inBasis).matmul(directions);
    }

    /// <summary>Σ_k a_k u_k (v_k on the source side), [n, d_head] to [n, d], or [n, d + 1] with biases, in fp64.</summary>
    public Tensor Combine(SignalSide side, Tensor amounts) =>
        amounts.matmul(Sides[(int)side].Directions.t()).matmul(Sides[(int)side].Basis.t());
}
