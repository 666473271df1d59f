namespace HeadScope;

/// <summary>Rewritings of a model's weights that leave its predictions as they are and make single weights easier to read. They are those that
/// TransformerLens does while loading; here each is asked for by name, with <see cref="Model.With"/>.</summary>
public enum WeightProcessing
{
    /// <summary>Gain g and shift c of every norm go into the maps that read it: b ← b + Wᵀc, W ← diag(g) W, and for LayerNorm, whose output has
    /// mean 0, every column of W (the weights of one output) is centred over the inputs. The norms are left without parameters.</summary>
    FoldLayerNorm,

    /// <summary>What is written to the residual stream gets mean 0 over d_model: embeddings, attention outputs and MLP outputs with their biases.
    /// Only for LayerNorm, which takes the mean away anyway; with RMSNorm it would change the model.</summary>
    CenterWritingWeights,

    /// <summary>W_U and b_U get mean 0 over the vocabulary: all logits of a position shift together, probabilities stay.</summary>
    CenterUnembedding,

    /// <summary>Value biases go into the output bias, since attention patterns sum to 1: b_O ← b_O + Σ_h W_O[h]ᵀ b_V[h], b_V ← none.</summary>
    FoldValueBiases,
}
