namespace HeadScope;

/// <summary>Reads the <c>config.json</c> of a Hugging Face model; refuses what the forward pass would not compute.</summary>
internal static class HuggingFaceConfig
{
    // Features of other families that change what a model computes.
    private static readonly string[] ForeignFeatures =
    [
        "num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size", "attn_logit_softcapping",
        "final_logit_softcapping", "logit_scale", "embedding_multiplier", "residual_multiplier", "attention_multiplier",
        "quantization_config",
    ];

    // What changes what a model computes, the value under which it does nothing, and what the models here do.
    private static readonly (string Key, bool Required, string Supported)[] Switches =
    [
        ("scale_attn_weights", true, "attention scores are divided by the root of the head width"),
        ("scale_attn_by_inverse_layer_idx", false, "attention scores do not depend on the layer's number"),
        ("reorder_and_upcast_attn", false, "attention is computed in one order"),
        ("add_cross_attention", false, "models are decoders without cross attention"),
        ("qk_layernorm", false, "queries and keys are not normalised"),
        ("rope_interleaved", false, "rotary positions turn the pairs (i, i + half), not neighbours"),
    ];

    private static readonly Family LlamaLike = new(NormKind.RmsNorm, "rms_norm_eps", 1e-6, "hidden_act", "silu", RotaryShare: 1);

    private static readonly Dictionary<string, Family> Families = new(StringComparer.Ordinal)
    {
        ["gpt2"] = new(NormKind.LayerNorm, "layer_norm_epsilon", 1e-5, "activation_function", "gelu_new", RotaryShare: null),
        ["gpt_neox"] = new(NormKind.LayerNorm, "layer_norm_eps", 1e-5, "hidden_act", "gelu", RotaryShare: 0.25),
        ["phi"] = new(NormKind.LayerNorm, "layer_norm_eps", 1e-5, "hidden_act", "gelu_new", RotaryShare: 0.5),
        ["llama"] = LlamaLike,
        ["mistral"] = LlamaLike,
        ["qwen2"] = LlamaLike,
    };

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or a key is missing.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported.</exception>
    public static TransformerConfig Read(string path)
    {
        var file = JsonField.Read(path);
        foreach (var key in ForeignFeatures)
        {
            file[key].RefuseIf(file.Optional(key) is not null, "models of the supported families do not have it");
        }

        foreach (var (key, required, supported) in Switches)
        {
            file[key].RefuseIf(file.Flag(key, missing: required) != required, supported);
        }

        var name = file.Optional("model_type")?.Text() ?? "";
        var family = Families.GetValueOrDefault(name) ?? throw file["model_type"].Refuse($"the families are {string.Join(", ", Families.Keys)}");

        var width = file.Required("hidden_size", "n_embd").Count();
        var (heads, keyHeads, headWidth) = Heads(
            width, file.Required("num_attention_heads", "n_head"), file.Optional("num_key_value_heads"), file.Optional("head_dim"));

        // Within its window a Mistral attends as any other model: there the window bounds the context. Qwen2 slides it in some layers only.
        var context = file.Required("max_position_embeddings", "n_positions", "n_ctx").Count();
        var window = file.Optional("sliding_window")?.Count() is { } length && length < context ? length : (int?)null;
        if (window is not null && name != "mistral")
        {
            file["use_sliding_window"].RefuseIf(
                file.Flag("use_sliding_window"), "every token attends to all earlier ones; only a Mistral may be cut to its window");
            window = null;
        }

        var attentionBias = file.Flag("attention_bias", missing: name is not ("llama" or "mistral"));
        return new TransformerConfig(
            Architecture: name,
            LayerCount: file.Required("num_hidden_layers", "n_layer").Count(), HeadCount: heads, KeyValueHeadCount: keyHeads,
            ModelWidth: width, HeadWidth: headWidth,
            MlpWidth: name == "gpt2" ? file.Optional("n_inner")?.Count() ?? 4 * width : file.Required("intermediate_size").Count(),
            VocabularySize: file.Required("vocab_size").Count(),
            ContextLength: window ?? context, SlidingWindow: window,
            Norm: family.Norm, NormEpsilon: file.Optional(family.EpsilonKey)?.Positive() ?? family.Epsilon,
            Rotary: family.RotaryShare is { } share ? Rotary(file, headWidth, share) : null,
            Activation: Activation(file[family.ActivationKey], family.Activation), GatedMlp: family == LlamaLike,
            ParallelResidual: name == "phi" || (name == "gpt_neox" && file.Flag("use_parallel_residual", missing: true)),
            SharedNorm: name == "phi",
            TiedEmbeddings: file.Flag("tie_word_embeddings", missing: name == "gpt2"))
        {
            Biases = (attentionBias, attentionBias && name != "qwen2", file.Flag("mlp_bias", missing: family != LlamaLike), name == "phi"),
        };
    }

    /// <summary>How many heads there are, how many for keys and values, and how wide they are, once all that fits together.</summary>
    public static (int Heads, int KeyHeads, int HeadWidth) Heads(int width, JsonField heads, JsonField? keyHeads, JsonField? headWidth)
    {
        var count = heads.Count();
        var keyCount = keyHeads?.Count() ?? count;
        var each = headWidth?.Count() ?? (width % count == 0 ? width / count : throw heads.Malformed($"a number that divides the width {width}"));
        return count % keyCount != 0 ? throw keyHeads!.Value.Malformed($"a number that divides the {count} query heads")
            : (long)count * each > int.MaxValue / 3 ? throw (headWidth ?? heads).Malformed(
                $"{count} heads of a width that with their keys and values fits into a tensor")
            : (count, keyCount, each);
    }

    private static ActivationFunction Activation(JsonField field, string missing) =>
        (field.Value.ValueKind == JsonValueKind.Undefined ? missing : field.Text()) switch
        {
            "gelu" => ActivationFunction.Gelu,
            "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => ActivationFunction.GeluTanh,
            "silu" or "swish" => ActivationFunction.Silu,
            _ => throw field.Refuse("the activations are gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, silu and swish"),
        };

    // Classic keys lie at the top (rope_theta, rope_scaling, rotary_pct ...); since transformers 5 they lie in rope_parameters.
    private static Rotary Rotary(JsonField file, int headWidth, double share)
    {
        var parameters = file.Optional("rope_parameters");
        double? Stated(params string[] keys) => keys.Select(key => (parameters?.Optional(key) ?? file.Optional(key))?.Positive()).FirstOrDefault(n => n is not null);
        var theta = Stated("rope_theta", "rotary_emb_base") ?? 10000;
        var dimensions = (int)(headWidth * (Stated("partial_rotary_factor", "rotary_pct") ?? share));
        Fault.InvalidDataIf(dimensions % 2 != 0 || dimensions < 2 || dimensions > headWidth,
            $"'{file.File}' rotates {dimensions} of {headWidth} channels of a head; expected an even number of them.");
        if ((parameters ?? file.Optional("rope_scaling")) is not { } scaling)
        {
            return new(dimensions, theta);
        }

        var type = scaling.Optional("rope_type") ?? scaling["type"];
        return type.Value.ValueKind == JsonValueKind.Undefined || type.Text() == "default" ? new(dimensions, theta)
            : type.Text() == "llama3" ? new(dimensions, theta, HeadScope.Rotary.Llama3Divisors(
                dimensions,
                theta,
                scaling.Required("factor").Positive(),
                scaling.Required("low_freq_factor").Positive(),
                scaling.Required("high_freq_factor").Positive(),
                scaling.Required("original_max_position_embeddings").Positive()))
            : throw type.Refuse("the scalings of rotary positions are default and llama3");
    }

    /// <summary>What a family's configurations call things, and what stands for what they leave out.</summary>
    private sealed record Family(NormKind Norm, string EpsilonKey, double Epsilon, string ActivationKey, string Activation, double? RotaryShare);
}
