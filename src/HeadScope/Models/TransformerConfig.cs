namespace HeadScope;

/// <summary>The shape of a decoder-only transformer: everything the forward pass needs to know besides the weights. One description covers all
/// supported families; none has code of its own.</summary>
/// <param name="Architecture">The family, under its Hugging Face name (<c>model_type</c>): gpt2, gpt_neox, phi, llama, mistral, qwen2.</param>
/// <param name="LayerCount">The number of blocks.</param>
/// <param name="HeadCount">The number of query heads in a block.</param>
/// <param name="KeyValueHeadCount">The number of key and value heads in a block; divides <paramref name="HeadCount"/>. Query head h reads
/// key/value head h / (HeadCount / KeyValueHeadCount).</param>
/// <param name="ModelWidth">The width of the residual stream (d_model).</param>
/// <param name="HeadWidth">The width of one head (d_head).</param>
/// <param name="MlpWidth">The number of neurons of an MLP.</param>
/// <param name="VocabularySize">The number of token ids.</param>
/// <param name="ContextLength">The longest sequence the model takes, in tokens. For models with a sliding window this is at most the window,
/// so that the window never matters.</param>
/// <param name="SlidingWindow">The sliding window that bounds <paramref name="ContextLength"/>, in tokens; null where none does.</param>
/// <param name="Norm">How the residual stream is normalised.</param>
/// <param name="NormEpsilon">What is added under the square root of the norms.</param>
/// <param name="Rotary">Rotary positions; null for learned positions added to the token embedding.</param>
/// <param name="Activation">The nonlinearity of the MLPs.</param>
/// <param name="GatedMlp">Whether the MLPs multiply the activated gate with a second, linear branch.</param>
/// <param name="ParallelResidual">Whether the MLP reads what the attention reads, not its result.</param>
/// <param name="SharedNorm">Whether one norm serves attention and MLP (only with <paramref name="ParallelResidual"/>).</param>
/// <param name="TiedEmbeddings">Whether the unembedding is the token embedding, transposed.</param>
public sealed record TransformerConfig(
    string Architecture,
    int LayerCount, int HeadCount, int KeyValueHeadCount, int ModelWidth, int HeadWidth, int MlpWidth,
    int VocabularySize, int ContextLength, int? SlidingWindow,
    NormKind Norm, double NormEpsilon, Rotary? Rotary, ActivationFunction Activation,
    bool GatedMlp, bool ParallelResidual, bool SharedNorm, bool TiedEmbeddings)
{
    /// <summary>Whether positions are learned vectors added to the token embedding.</summary>
    public bool LearnedPositions => Rotary is null;

    /// <summary>How many query heads share one key/value head.</summary>
    public int GroupSize => HeadCount / KeyValueHeadCount;

    /// <summary>Which maps have biases: queries, keys and values; the attention's output; the MLP; the unembedding. Null: those the file holds.</summary>
    internal (bool Attention, bool AttentionOutput, bool Mlp, bool Unembedding)? Biases { get; init; }
}
