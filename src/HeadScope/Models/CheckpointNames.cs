namespace HeadScope;

/// <summary>Where a family of checkpoints keeps its tensors: names without <c>.weight</c> and <c>.bias</c>, those of a layer behind
/// <see cref="Layer"/> with {0} for its number. To add a family, add one entry here and its configuration.</summary>
/// <remarks>The prefix comes before all names but that of the unembedding; some files of a family leave it out. Where one norm serves attention
/// and MLP, the latter's is null.</remarks>
internal sealed record CheckpointNames(
    string Prefix, string Layer, string TokenEmbedding, string FinalNorm, string Unembedding,
    string AttentionNorm, string? MlpNorm,
    string AttentionOutput,
    string MlpIn, string? MlpGate, string MlpOutput,
    string? PositionEmbedding = null,
    string? Query = null, string? Key = null, string? Value = null, string? Fused = null)
{
    /// <summary>Whether a fused matrix holds the query, key and value of one head after the other, not all queries, all keys, all values.</summary>
    public bool FusedHeadByHead { get; init; }

    /// <summary>Whether the matrices of the blocks are stored [in, out].</summary>
    public bool InputsByRow { get; init; }

    /// <summary>Whether each head's query and key rows are stored for rotation of neighbouring channels (2i, 2i + 1).</summary>
    public bool RotaryPairsAreNeighbours { get; init; }

    /// <summary>Tensors of a layer that are no parameters (masks, tables).</summary>
    public IReadOnlyList<string> Buffers { get; init; } = [];

    private static readonly CheckpointNames Llama = new(
        Prefix: "model.", Layer: "layers.{0}.", TokenEmbedding: "embed_tokens", FinalNorm: "norm", Unembedding: "lm_head",
        AttentionNorm: "input_layernorm", MlpNorm: "post_attention_layernorm",
        Query: "self_attn.q_proj", Key: "self_attn.k_proj", Value: "self_attn.v_proj", AttentionOutput: "self_attn.o_proj",
        MlpIn: "mlp.up_proj", MlpGate: "mlp.gate_proj", MlpOutput: "mlp.down_proj")
    {
        Buffers = ["self_attn.rotary_emb.inv_freq"],
    };

    private static readonly CheckpointNames Phi = Llama with
    {
        FinalNorm = "final_layernorm",
        MlpNorm = null,
        AttentionOutput = "self_attn.dense",
        MlpIn = "mlp.fc1",
        MlpGate = null,
        MlpOutput = "mlp.fc2",
    };

    private static readonly CheckpointNames Gpt2 = new(
        Prefix: "transformer.", Layer: "h.{0}.", TokenEmbedding: "wte", PositionEmbedding: "wpe", FinalNorm: "ln_f", Unembedding: "lm_head",
        AttentionNorm: "ln_1", MlpNorm: "ln_2",
        Fused: "attn.c_attn", AttentionOutput: "attn.c_proj",
        MlpIn: "mlp.c_fc", MlpGate: null, MlpOutput: "mlp.c_proj")
    {
        InputsByRow = true,
        Buffers = ["attn.bias", "attn.masked_bias"],
    };

    private static readonly CheckpointNames GptNeoX = new(
        Prefix: "gpt_neox.", Layer: "layers.{0}.", TokenEmbedding: "embed_in", FinalNorm: "final_layer_norm", Unembedding: "embed_out",
        AttentionNorm: "input_layernorm", MlpNorm: "post_attention_layernorm",
        Fused: "attention.query_key_value", AttentionOutput: "attention.dense",
        MlpIn: "mlp.dense_h_to_4h", MlpGate: null, MlpOutput: "mlp.dense_4h_to_h")
    {
        FusedHeadByHead = true,
        Buffers = ["attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"],
    };

    private static readonly CheckpointNames Gguf = new(
        Prefix: "", Layer: "blk.{0}.", TokenEmbedding: "token_embd", FinalNorm: "output_norm", Unembedding: "output",
        AttentionNorm: "attn_norm", MlpNorm: "ffn_norm",
        Query: "attn_q", Key: "attn_k", Value: "attn_v", Fused: "attn_qkv", AttentionOutput: "attn_output",
        MlpIn: "ffn_up", MlpGate: "ffn_gate", MlpOutput: "ffn_down");

    public static CheckpointNames Of(string architecture) => architecture switch
    {
        "gpt2" => Gpt2,
        "gpt_neox" => GptNeoX,
        "phi" => Phi,
        _ => Llama,
    };

    public static CheckpointNames OfGguf(string architecture) => architecture switch
    {
        "gpt2" => Gguf with { PositionEmbedding = "position_embd", MlpGate = null },
        "phi2" => Gguf with { MlpNorm = null, MlpGate = null },
        "llama" => Gguf with { RotaryPairsAreNeighbours = true },
        _ => Gguf,
    };
}
