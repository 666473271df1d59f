namespace HeadScope;

/// <summary>
/// The shape of a decoder-only transformer: everything the forward pass needs to know besides the weights. One description covers
/// all supported families; none has code of its own.
/// </summary>
public sealed record TransformerConfig
{
    /// <summary>The family, under its Hugging Face name (<c>model_type</c>): gpt2, gpt_neox, phi, llama, mistral, qwen2.</summary>
    public required string Architecture { get; init; }

    /// <summary>The number of blocks.</summary>
    public required int LayerCount { get; init; }

    /// <summary>The number of query heads in a block.</summary>
    public required int HeadCount { get; init; }

    /// <summary>The number of key and value heads in a block; divides <see cref="HeadCount"/>. Query head h reads key/value head
    /// h / (HeadCount / KeyValueHeadCount).</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>The width of the residual stream (d_model).</summary>
    public required int ModelWidth { get; init; }

    /// <summary>The width of one head (d_head).</summary>
    public required int HeadWidth { get; init; }

    /// <summary>The number of neurons of an MLP.</summary>
    public required int MlpWidth { get; init; }

    /// <summary>The number of token ids.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The longest sequence the model takes, in tokens. For models with a sliding window this is at most the window, so that
    /// the window never matters.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The sliding window that bounds <see cref="ContextLength"/>, in tokens; null where none does.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>How the residual stream is normalised.</summary>
    public required NormKind Norm { get; init; }

    /// <summary>What is added under the square root of the norms.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Rotary positions; null for learned positions added to the token embedding.</summary>
    public Rotary? Rotary { get; init; }

    /// <summary>The nonlinearity of the MLPs.</summary>
    public required ActivationFunction Activation { get; init; }

    /// <summary>Whether the MLPs multiply the activated gate with a second, linear branch.</summary>
    public bool GatedMlp { get; init; }

    /// <summary>Whether the MLP reads what the attention reads, not its result.</summary>
    public bool ParallelResidual { get; init; }

    /// <summary>Whether one norm serves attention and MLP (only with <see cref="ParallelResidual"/>).</summary>
    public bool SharedNorm { get; init; }

    /// <summary>Whether the unembedding is the token embedding, transposed.</summary>
    public bool TiedEmbeddings { get; init; }

    /// <summary>Whether positions are learned vectors added to the token embedding.</summary>
    public bool LearnedPositions => Rotary is null;

    /// <summary>How many query heads share one key/value head.</summary>
    public int GroupSize => HeadCount / KeyValueHeadCount;

    /// <summary>Which of query, key and value have biases; null when the checkpoint decides by what it holds.</summary>
    internal bool? QueryKeyValueBias { get; init; }

    /// <summary>Whether the attention output has a bias; null when the checkpoint decides.</summary>
    internal bool? AttentionOutputBias { get; init; }

    /// <summary>Whether the MLP's matrices have biases; null when the checkpoint decides.</summary>
    internal bool? MlpBias { get; init; }

    /// <summary>Whether the unembedding has a bias; null when the checkpoint decides.</summary>
    internal bool? UnembeddingBias { get; init; }
}
