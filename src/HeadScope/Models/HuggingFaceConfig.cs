namespace HeadScope;

/// <summary>Reads the <c>config.json</c> of a Hugging Face model; refuses what the forward pass would not compute.</summary>
internal static class HuggingFaceConfig
{
    private const string Families = "the families are gpt2, gpt_neox, phi, llama, mistral and qwen2.";

    // Features of other families that change what a model computes, with the value under which they do nothing.
    private static readonly string[] ForeignFeatures =
    [
        "num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size", "attn_logit_softcapping",
        "final_logit_softcapping", "logit_scale", "embedding_multiplier", "residual_multiplier", "attention_multiplier",
        "quantization_config",
    ];

    /// <summary>Reads a configuration.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">The file is damaged or a key is missing.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported.</exception>
    public static TransformerConfig Read(string path)
    {
        var file = ConfigFile.Read(path);
        foreach (var key in ForeignFeatures)
        {
            if (file.Has(key))
            {
                throw file.Refuse(key, "models of the supported families do not have it.");
            }
        }

        var config = file.Text("model_type") switch
        {
            "gpt2" => Gpt2(file),
            "gpt_neox" => GptNeoX(file),
            "phi" => Phi(file),
            "llama" or "mistral" or "qwen2" => Llama(file),
            _ => throw file.Refuse("model_type", Families),
        };
        if (config.ModelWidth % config.HeadCount != 0 && !file.Has("head_dim"))
        {
            throw new InvalidDataException(
                $"'{path}' has a width of {config.ModelWidth} that {config.HeadCount} heads do not divide, and no 'head_dim'.");
        }

        if (config.HeadCount % config.KeyValueHeadCount != 0)
        {
            throw new InvalidDataException(
                $"'{path}' has {config.HeadCount} query heads, which {config.KeyValueHeadCount} key/value heads do not divide.");
        }

        if ((long)config.HeadCount * config.HeadWidth > int.MaxValue / 3)
        {
            throw new InvalidDataException(
                $"'{path}' has {config.HeadCount} heads of width {config.HeadWidth}, more than fits into a tensor with their keys and values.");
        }

        return config;
    }

    private static TransformerConfig Gpt2(ConfigFile file)
    {
        RequireFlag(file, "scale_attn_weights", true, "attention scores are divided by the root of the head width.");
        RequireFlag(file, "scale_attn_by_inverse_layer_idx", false, "attention scores do not depend on the layer's number.");
        RequireFlag(file, "reorder_and_upcast_attn", false, "attention is computed in one order.");
        RequireFlag(file, "add_cross_attention", false, "models are decoders without cross attention.");
        var width = file.Count("n_embd");
        var heads = file.Count("n_head");
        return new()
        {
            Architecture = "gpt2",
            LayerCount = file.Count("n_layer"),
            HeadCount = heads,
            KeyValueHeadCount = heads,
            ModelWidth = width,
            HeadWidth = width / heads,
            MlpWidth = file.CountOrNull("n_inner") ?? 4 * width,
            VocabularySize = file.Count("vocab_size"),
            ContextLength = file.Count("n_positions", "n_ctx"),
            Norm = NormKind.LayerNorm,
            NormEpsilon = file.NumberOrNull("layer_norm_epsilon") ?? 1e-5,
            Activation = Activation(file, "activation_function", "gelu_new"),
            TiedEmbeddings = file.Flag("tie_word_embeddings", missing: true),
            QueryKeyValueBias = true,
            AttentionOutputBias = true,
            MlpBias = true,
            UnembeddingBias = false,
        };
    }

    private static TransformerConfig GptNeoX(ConfigFile file)
    {
        var width = file.Count("hidden_size");
        var heads = file.Count("num_attention_heads");
        var attentionBias = file.Flag("attention_bias", missing: true);
        return new()
        {
            Architecture = "gpt_neox",
            LayerCount = file.Count("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = heads,
            ModelWidth = width,
            HeadWidth = width / heads,
            MlpWidth = file.Count("intermediate_size"),
            VocabularySize = file.Count("vocab_size"),
            ContextLength = file.Count("max_position_embeddings"),
            Norm = NormKind.LayerNorm,
            NormEpsilon = file.NumberOrNull("layer_norm_eps") ?? 1e-5,
            Rotary = Rotary(file, width / heads, share: 0.25),
            Activation = Activation(file, "hidden_act", "gelu"),
            ParallelResidual = file.Flag("use_parallel_residual", missing: true),
            TiedEmbeddings = file.Flag("tie_word_embeddings", missing: false),
            QueryKeyValueBias = attentionBias,
            AttentionOutputBias = attentionBias,
            MlpBias = true,
            UnembeddingBias = false,
        };
    }

    private static TransformerConfig Phi(ConfigFile file)
    {
        RequireFlag(file, "qk_layernorm", false, "queries and keys are not normalised.");
        var width = file.Count("hidden_size");
        var heads = file.Count("num_attention_heads");
        return new()
        {
            Architecture = "phi",
            LayerCount = file.Count("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = file.CountOrNull("num_key_value_heads") ?? heads,
            ModelWidth = width,
            HeadWidth = width / heads,
            MlpWidth = file.Count("intermediate_size"),
            VocabularySize = file.Count("vocab_size"),
            ContextLength = file.Count("max_position_embeddings"),
            Norm = NormKind.LayerNorm,
            NormEpsilon = file.NumberOrNull("layer_norm_eps") ?? 1e-5,
            Rotary = Rotary(file, width / heads, share: 0.5),
            Activation = Activation(file, "hidden_act", "gelu_new"),
            ParallelResidual = true,
            SharedNorm = true,
            TiedEmbeddings = file.Flag("tie_word_embeddings", missing: false),
            QueryKeyValueBias = true,
            AttentionOutputBias = true,
            MlpBias = true,
            UnembeddingBias = true,
        };
    }

    private static TransformerConfig Llama(ConfigFile file)
    {
        RequireFlag(file, "rope_interleaved", false, "rotary positions turn the pairs (i, i + half), not neighbours.");
        var family = file.Text("model_type")!;
        var width = file.Count("hidden_size");
        var heads = file.Count("num_attention_heads");
        var headWidth = file.CountOrNull("head_dim") ?? width / heads;
        var context = file.Count("max_position_embeddings");

        // Within its window a Mistral attends as any other model: there the window bounds the context. Qwen2 slides it in some layers only.
        var window = file.CountOrNull("sliding_window") is { } length && length < context ? length : (int?)null;
        if (family != "mistral" && window is not null)
        {
            RequireFlag(file, "use_sliding_window", false, "every token attends to all earlier ones; only a Mistral may be cut to its window.");
            window = null;
        }

        return new()
        {
            Architecture = family,
            LayerCount = file.Count("num_hidden_layers"),
            HeadCount = heads,
            KeyValueHeadCount = file.CountOrNull("num_key_value_heads") ?? heads,
            ModelWidth = width,
            HeadWidth = headWidth,
            MlpWidth = file.Count("intermediate_size"),
            VocabularySize = file.Count("vocab_size"),
            ContextLength = window ?? context,
            SlidingWindow = window,
            Norm = NormKind.RmsNorm,
            NormEpsilon = file.NumberOrNull("rms_norm_eps") ?? 1e-6,
            Rotary = Rotary(file, headWidth, share: 1),
            Activation = Activation(file, "hidden_act", "silu"),
            GatedMlp = true,
            TiedEmbeddings = file.Flag("tie_word_embeddings", missing: false),
            QueryKeyValueBias = file.Flag("attention_bias", missing: family == "qwen2"),
            AttentionOutputBias = family != "qwen2" && file.Flag("attention_bias", missing: false),
            MlpBias = file.Flag("mlp_bias", missing: false),
            UnembeddingBias = false,
        };
    }

    private static void RequireFlag(ConfigFile file, string key, bool required, string supported)
    {
        if (file.Flag(key, missing: required) != required)
        {
            throw file.Refuse(key, supported);
        }
    }

    private static ActivationFunction Activation(ConfigFile file, string key, string missing) => (file.Text(key) ?? missing) switch
    {
        "gelu" => ActivationFunction.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => ActivationFunction.GeluTanh,
        "silu" or "swish" => ActivationFunction.Silu,
        _ => throw file.Refuse(key, "the activations are gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, silu and swish."),
    };

    // Classic keys lie at the top (rope_theta, rope_scaling, rotary_pct ...); since transformers 5 they lie in rope_parameters.
    private static Rotary Rotary(ConfigFile file, int headWidth, double share)
    {
        var parameters = file.Part("rope_parameters");
        var scaling = parameters ?? file.Part("rope_scaling");
        var theta = parameters?.NumberOrNull("rope_theta")
            ?? file.NumberOrNull("rope_theta") ?? file.NumberOrNull("rotary_emb_base") ?? 10000;
        share = parameters?.NumberOrNull("partial_rotary_factor")
            ?? file.NumberOrNull("partial_rotary_factor") ?? file.NumberOrNull("rotary_pct") ?? share;
        var dimensions = (int)(headWidth * share);
        if (dimensions % 2 != 0 || dimensions < 2 || dimensions > headWidth)
        {
            throw new InvalidDataException(
                $"The configuration rotates {dimensions} of {headWidth} channels of a head; expected an even number of them.");
        }

        var key = scaling?.Has("rope_type") == true ? "rope_type" : "type";
        return (scaling?.Text(key) ?? "default") switch
        {
            "default" => new(dimensions, theta),
            "llama3" => new(dimensions, theta, HeadScope.Rotary.Llama3Divisors(
                dimensions,
                theta,
                scaling!.Number("factor"),
                scaling.Number("low_freq_factor"),
                scaling.Number("high_freq_factor"),
                scaling.Number("original_max_position_embeddings"))),
            _ => throw scaling!.Refuse(key, "the scalings of rotary positions are default and llama3."),
        };
    }
}
