namespace HeadScope;

/// <summary>The <c>config.json</c> of OpenMOSS's Language-Model-SAEs (layout A) and of the first published Lorsa code (layout B).</summary>
internal static class LorsaConfigJson
{
    /// <summary>Whether the configuration is one of the first published code.</summary>
    public static bool IsFirstLayout(JsonField file) => file.Has("n_ov_heads");

    /// <summary>Reads a configuration of either layout.</summary>
    public static LorsaConfig Read(JsonField file)
    {
        file["sae_type"].RefuseIf(!IsFirstLayout(file) && file.Optional("sae_type")?.Text() != "lorsa", "expected lorsa");
        var width = file.Required("d_model").Count();
        var config = new LorsaConfig
        {
            ModelWidth = width,
            Heads = IsFirstLayout(file) ? file.Required("n_ov_heads").Count() : (int)(width * file.Required("expansion_factor").Positive()),
            QkHeads = file.Required("n_qk_heads").Count(),
            QkWidth = file.Required("d_qk_head").Count(),
            ContextLength = file.Required("n_ctx").Count(),
            TopK = file.Required("top_k").Count(),
            AttentionScale = file.Optional("attn_scale")?.Positive(),
        };
        config = IsFirstLayout(file) ? First(file, config) : Current(file, config);
        config = file.Optional("positional_embedding_type")?.Text() switch
        {
            "none" or "default" => config,
            "rotary" => config with
            {
                RotaryDimensions = file.Required("rotary_dim").Count(),
                RotaryBase = file.Required("rotary_base").Positive(),
                RotaryAdjacentPairs = file.Flag("rotary_adjacent_pairs", false),
                RotaryRepeat = file.Optional("rotary_scale")?.Count() ?? 1,
                RotaryScaling = file.Flag("use_NTK_by_parts_rope", false)
                    ? (Part("factor"), Part("low_freq_factor"), Part("high_freq_factor"), file.Required("old_context_len").Count())
                    : null,
            },
            _ => throw file["positional_embedding_type"].Refuse("known are rotary, none and default"),
        };
        try
        {
            config.Validate();
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"'{file.File}' does not describe a Lorsa: {error.Message}", error);
        }

        return config;

        double Part(string name) => file.Required($"NTK_by_parts_{name}").Positive();
    }

    /// <summary>Writes a configuration of layout A.</summary>
    public static string Write(LorsaConfig config, bool folded)
    {
        var (rotates, scaling) = (config.RotaryDimensions > 0, config.RotaryScaling ?? (1, 1, 1, 2048));

        // They take n = int(d f) in fp64, and n / d alone may fall below it by rounding.
        var factor = (double)config.Heads / config.ModelWidth;
        factor = (int)(config.ModelWidth * factor) == config.Heads ? factor : Math.BitIncrement(factor);
        return ResultJson.Text(
            new
            {
                sae_type = "lorsa", d_model = config.ModelWidth, expansion_factor = factor, use_decoder_bias = config.HasOutputBias,
                act_fn = config.Activation is LorsaActivation.TopK or LorsaActivation.BatchTopK or LorsaActivation.Relu or LorsaActivation.JumpRelu
                    ? config.Activation.ToString().ToLowerInvariant()
                    : throw new NotSupportedException(
                        $"The activation {config.Activation} has no name in the layout of Language-Model-SAEs; it knows TopK, BatchTopK, Relu and JumpRelu."),
                norm_activation = folded ? "inference" : "dataset-wise", sparsity_include_decoder_norm = config.ScoreByOutputNorm, top_k = config.TopK,
                use_triton_kernel = false, sparsity_threshold_for_triton_spmm_kernel = 0.996, jumprelu_threshold_window = config.JumpReluWindow,
                hook_point_in = config.HookIn, hook_point_out = config.HookOut, n_qk_heads = config.QkHeads, d_qk_head = config.QkWidth,
                positional_embedding_type = rotates ? "rotary" : "none", rotary_dim = rotates ? config.RotaryDimensions : config.QkWidth,
                rotary_base = config.RotaryBase, // without a fraction it is written as the whole number that they want
                rotary_adjacent_pairs = config.RotaryAdjacentPairs, rotary_scale = config.RotaryRepeat,
                use_NTK_by_parts_rope = config.RotaryScaling is not null, NTK_by_parts_factor = scaling.Factor,
                NTK_by_parts_low_freq_factor = scaling.Low, NTK_by_parts_high_freq_factor = scaling.High, old_context_len = scaling.OldLength,
                n_ctx = config.ContextLength, attn_scale = config.Scale,
                use_post_qk_ln = config.QkNorm, normalization_type = config.QkNorm ? "RMS" : null, eps = config.QkNormEpsilon,
            },
            indented: true);
    }

    private static LorsaConfig Current(JsonField file, LorsaConfig config) => config with
    {
        Activation = file.Optional("act_fn")?.Text()?.ToLowerInvariant() switch
        {
            "topk" => LorsaActivation.TopK,
            "batchtopk" => LorsaActivation.BatchTopK,
            "relu" => LorsaActivation.Relu,
            "jumprelu" => LorsaActivation.JumpRelu,
            _ => throw file["act_fn"].Refuse("known are topk, batchtopk, relu and jumprelu"),
        },
        ScoreByOutputNorm = file.Flag("sparsity_include_decoder_norm", true),
        HasOutputBias = file.Flag("use_decoder_bias", true),
        QkNorm = file.Flag("use_post_qk_ln", false) && (file.Optional("normalization_type")?.Text() == "RMS" ? true
            : throw file["normalization_type"].Refuse("of norms of queries and keys RMS alone is known")),
        QkNormEpsilon = file.Optional("eps")?.Positive() ?? 1e-6,
        JumpReluWindow = file.Optional("jumprelu_threshold_window")?.Positive() ?? 2,
        HookIn = file.Optional("hook_point_in")?.Text() ?? throw file["hook_point_in"].Refuse("expected the name of an activation"),
        HookOut = file.Optional("hook_point_out")?.Text() ?? throw file["hook_point_out"].Refuse("expected the name of an activation"),
    };

    private static LorsaConfig First(JsonField file, LorsaConfig config)
    {
        file["d_ov_head"].RefuseIf(file.Optional("d_ov_head")?.Whole() is not (null or 1), "a Lorsa here has OV heads of width 1");

        // With virtual keys the published code lets a token see later ones.
        file["virtual_kv_num"].RefuseIf(file.Optional("virtual_kv_num")?.Whole() is not (null or 0), "a Lorsa here has no virtual keys");
        var layer = file.Optional("layer")?.Whole() ?? 0;
        return config with
        {
            Activation = file.Optional("mode")?.Text() switch
            {
                "top_k" => file.Flag("use_z_relu", false) ? LorsaActivation.TopK : LorsaActivation.TopKMagnitude,
                "jumprelu" => LorsaActivation.Dense,
                _ => throw file["mode"].Refuse("known are top_k and jumprelu"),
            },
            HookIn = $"blocks.{layer}.ln1.hook_normalized",
            HookOut = $"blocks.{layer}.hook_attn_out",
        };
    }
}
