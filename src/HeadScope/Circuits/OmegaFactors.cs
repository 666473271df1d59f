using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// The two factors of Ω = [W_Q; b_Qᵀ] R(-Δ) [W_K; b_Kᵀ]ᵀ for heads of one layer, each as its thin QR in fp64. Ω has rank d_head, so its
/// singular value decomposition is that of the d_head × d_head core between the two orthonormal factors: exact, and never d × d. With
/// rotary positions Ω depends on the relative position Δ, but the factors do not: they are decomposed once for all Δ.
/// </summary>
internal sealed class OmegaFactors
{
    private readonly Rotary? rotary;

    /// <summary>Decomposes the factors; what it makes lives in the caller's dispose scope.</summary>
    /// <exception cref="ArgumentException">The model has not been through <see cref="WeightProcessing.FoldLayerNorm"/>.</exception>
    public OmegaFactors(Model model, int layer, int[] heads)
    {
        if (!model.Processing.Contains(WeightProcessing.FoldLayerNorm))
        {
            throw new ArgumentException(
                $"Ω reads the normalised residual stream: '{model.Name}' must have been through {nameof(WeightProcessing.FoldLayerNorm)} "
                + $"first; {nameof(Circuit)}.{nameof(Circuit.Fold)}(model) returns it so.",
                nameof(model));
        }

        var attention = model.Net.Blocks[layer].Attention;
        rotary = attention.Rotary;
        HasConstant = attention.Query.Bias is not null || attention.Key.Bias is not null;
        Query = Factor(attention.W_Q, attention.b_Q, heads);
        Key = Factor(attention.W_K, attention.b_K, Array.ConvertAll(heads, head => head / model.Config.GroupSize));

        // The row below the weights: zeros where the other side alone has biases.
        (Tensor, Tensor) Factor(Tensor weight, Tensor? bias, int[] rows)
        {
            var at = tensor(Array.ConvertAll(rows, row => (long)row), device: weight.device);
            var wide = weight.index_select(0, at).to(float64);
            if (HasConstant)
            {
                var row = bias is null ? zeros([rows.Length, wide.shape[2]], float64, wide.device) : bias.index_select(0, at).to(float64);
                wide = cat([wide, row.unsqueeze(1)], 1);
            }

            return linalg.qr(wide);
        }
    }

    /// <summary>Whether a constant 1 stands behind the normalised residual, for the biases of query and key.</summary>
    public bool HasConstant { get; }

    /// <summary>Whether Ω differs from one relative position to the next.</summary>
    public bool DependsOnPosition => rotary is not null;

    /// <summary>The factor that destinations are read by: Q, [head, d or d + 1, d_head], and R, [head, d_head, d_head].</summary>
    public (Tensor Basis, Tensor Triangle) Query { get; }

    /// <summary>The factor that sources are read by.</summary>
    public (Tensor Basis, Tensor Triangle) Key { get; }

    /// <summary>The decompositions of some heads (by their place among the heads) at some relative positions, within the two bases.</summary>
    /// <returns>u [pair, d_head, d_head] with directions as columns, s [pair, d_head], v as u.</returns>
    public (Tensor U, Tensor S, Tensor V) Decompose(IReadOnlyList<(int Head, int RelativePosition)> pairs)
    {
        var device = Query.Basis.device;
        var heads = tensor([.. pairs.Select(pair => (long)pair.Head)], device: device);
        var left = Query.Triangle.index_select(0, heads);
        if (rotary is not null)
        {
            // The rows of R, each turned as the model turns a query that stands so much further on: R_Q R(-Δ).
            var angles = rotary.At([.. pairs.Select(pair => (long)pair.RelativePosition)], pairs.Count, device, float64);
            left = angles.Turn(left.unsqueeze(1)).squeeze(1);
        }

        var (u, s, v) = linalg.svd(left.bmm(Key.Triangle.index_select(0, heads).transpose(1, 2)), fullMatrices: false);
        return (u, s, v.transpose(1, 2));
    }
}
