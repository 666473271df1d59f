namespace HeadScope;

/// <summary>What a forward pass returns and what changes it.</summary>
public sealed record RunOptions
{
    /// <summary>The activations to return, by TransformerLens name; <c>*</c> stands for any text
    /// (<c>blocks.*.attn.hook_pattern</c>).</summary>
    public IReadOnlyList<string> Activations { get; init; } = [];

    /// <summary>Interventions; several on one activation are called in this order. Activations are returned as they are afterwards.</summary>
    public IReadOnlyList<ActivationHook> Hooks { get; init; } = [];

    /// <summary>Which logits to return.</summary>
    public LogitsOf Logits { get; init; } = LogitsOf.All;

    /// <summary>Keys and values of the tokens before; the pass adds those of its tokens. Null when there are no tokens before.</summary>
    public KeyValueCache? Cache { get; init; }

    /// <summary>The last layer to compute, without logits; null for all.</summary>
    public int? StopAfterLayer { get; init; }

    /// <summary>Whether to forget each layer's decoded weights when the layer is done, to run models that do not fit into memory in
    /// fp32. Each pass then decodes them again.</summary>
    public bool ReleaseWeights { get; init; }
}
