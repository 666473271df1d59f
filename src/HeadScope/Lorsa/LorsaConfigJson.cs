using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace HeadScope;

/// <summary>The <c>config.json</c> of OpenMOSS's Language-Model-SAEs (layout A) and of the first published Lorsa code (layout B).</summary>
internal static class LorsaConfigJson
{
    /// <summary>Whether the configuration is one of the first published code.</summary>
    public static bool IsFirstLayout(ConfigFile file) => file.Has("n_ov_heads");

    /// <summary>Reads a configuration of either layout.</summary>
    /// <exception cref="InvalidDataException">A field is missing or has another type; the message names file and field.</exception>
    /// <exception cref="NotSupportedException">It asks for something that a Lorsa here does not do.</exception>
    public static LorsaConfig Read(ConfigFile file)
    {
        if (!IsFirstLayout(file) && file.Text("sae_type") != "lorsa")
        {
            throw file.Refuse("sae_type", "expected lorsa.");
        }

        var width = file.Count("d_model");
        var config = new LorsaConfig
        {
            ModelWidth = width,
            Heads = IsFirstLayout(file) ? file.Count("n_ov_heads") : (int)(width * file.Number("expansion_factor")),
            QkHeads = file.Count("n_qk_heads"),
            QkWidth = file.Count("d_qk_head"),
            ContextLength = file.Count("n_ctx"),
            TopK = file.Count("top_k"),
            AttentionScale = file.NumberOrNull("attn_scale"),
        };
        config = IsFirstLayout(file) ? First(file, config) : Current(file, config);
        config = file.Text("positional_embedding_type") switch
        {
            "none" or "default" => config,
            "rotary" => config with
            {
                RotaryDimensions = file.Count("rotary_dim"),
                RotaryBase = file.Number("rotary_base"),
                RotaryAdjacentPairs = file.Flag("rotary_adjacent_pairs", false),
                RotaryRepeat = file.CountOrNull("rotary_scale") ?? 1,
                RotaryScaling = file.Flag("use_NTK_by_parts_rope", false)
                    ? (file.Number("NTK_by_parts_factor"), file.Number("NTK_by_parts_low_freq_factor"), file.Number("NTK_by_parts_high_freq_factor"),
                        file.Count("old_context_len"))
                    : null,
            },
            _ => throw file.Refuse("positional_embedding_type", "known are rotary, none and default."),
        };
        try
        {
            config.Validate();
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"'{file.Path}' does not describe a Lorsa: {error.Message}", error);
        }

        return config;
    }

    /// <summary>Writes a configuration of layout A.</summary>
    /// <exception cref="NotSupportedException">The activation has no name there.</exception>
    public static string Write(LorsaConfig config, bool folded)
    {
        var (rotates, scaling) = (config.RotaryDimensions > 0, config.RotaryScaling ?? (1, 1, 1, 2048));

        // They take n = int(d f) in fp64, and n / d alone may fall below it by rounding.
        var factor = (double)config.Heads / config.ModelWidth;
        factor = (int)(config.ModelWidth * factor) == config.Heads ? factor : Math.BitIncrement(factor);
        return JsonSerializer.Serialize(
            new JsonObject
            {
                ["sae_type"] = "lorsa",
                ["d_model"] = config.ModelWidth,
                ["expansion_factor"] = factor,
                ["use_decoder_bias"] = config.HasOutputBias,
                ["act_fn"] = config.Activation is LorsaActivation.TopK or LorsaActivation.BatchTopK or LorsaActivation.Relu or LorsaActivation.JumpRelu
                    ? config.Activation.ToString().ToLowerInvariant()
                    : throw new NotSupportedException(
                        $"The activation {config.Activation} has no name in the layout of Language-Model-SAEs; it knows TopK, BatchTopK, Relu and JumpRelu."),
                ["norm_activation"] = folded ? "inference" : "dataset-wise",
                ["sparsity_include_decoder_norm"] = config.ScoreByOutputNorm,
                ["top_k"] = config.TopK,
                ["use_triton_kernel"] = false,
                ["sparsity_threshold_for_triton_spmm_kernel"] = 0.996,
                ["jumprelu_threshold_window"] = config.JumpReluWindow,
                ["hook_point_in"] = config.HookIn,
                ["hook_point_out"] = config.HookOut,
                ["n_qk_heads"] = config.QkHeads,
                ["d_qk_head"] = config.QkWidth,
                ["positional_embedding_type"] = rotates ? "rotary" : "none",
                ["rotary_dim"] = rotates ? config.RotaryDimensions : config.QkWidth,
                ["rotary_base"] = config.RotaryBase, // without a fraction it is written as the whole number that they want
                ["rotary_adjacent_pairs"] = config.RotaryAdjacentPairs,
                ["rotary_scale"] = config.RotaryRepeat,
                ["use_NTK_by_parts_rope"] = config.RotaryScaling is not null,
                ["NTK_by_parts_factor"] = scaling.Factor,
                ["NTK_by_parts_low_freq_factor"] = scaling.Low,
                ["NTK_by_parts_high_freq_factor"] = scaling.High,
                ["old_context_len"] = scaling.OldLength,
                ["n_ctx"] = config.ContextLength,
                ["attn_scale"] = config.Scale,
                ["use_post_qk_ln"] = config.QkNorm,
                ["normalization_type"] = config.QkNorm ? "RMS" : null,
                ["eps"] = config.QkNormEpsilon,
            },
            LorsaJson.Default.JsonObject);
    }

    private static LorsaConfig Current(ConfigFile file, LorsaConfig config) => config with
    {
        Activation = file.Text("act_fn")?.ToLowerInvariant() switch
        {
            "topk" => LorsaActivation.TopK,
            "batchtopk" => LorsaActivation.BatchTopK,
            "relu" => LorsaActivation.Relu,
            "jumprelu" => LorsaActivation.JumpRelu,
            _ => throw file.Refuse("act_fn", "known are topk, batchtopk, relu and jumprelu."),
        },
        ScoreByOutputNorm = file.Flag("sparsity_include_decoder_norm", true),
        HasOutputBias = file.Flag("use_decoder_bias", true),
        QkNorm = file.Flag("use_post_qk_ln", false) && (file.Text("normalization_type") == "RMS" ? true
            : throw file.Refuse("normalization_type", "of norms of queries and keys RMS alone is known.")),
        QkNormEpsilon = file.NumberOrNull("eps") ?? 1e-6,
        JumpReluWindow = file.NumberOrNull("jumprelu_threshold_window") ?? 2,
        HookIn = file.Text("hook_point_in") ?? throw file.Refuse("hook_point_in", "expected the name of an activation."),
        HookOut = file.Text("hook_point_out") ?? throw file.Refuse("hook_point_out", "expected the name of an activation."),
    };

    private static LorsaConfig First(ConfigFile file, LorsaConfig config)
    {
        if (file.WholeOrNull("d_ov_head") is not (null or 1) || file.WholeOrNull("virtual_kv_num") is not (null or 0))
        {
            // With virtual keys the published code lets a token see later ones.
            throw file.Refuse(file.WholeOrNull("d_ov_head") is null or 1 ? "virtual_kv_num" : "d_ov_head", "a Lorsa here has OV heads of width 1 and no virtual keys.");
        }

        var layer = file.WholeOrNull("layer") ?? 0;
        return config with
        {
            Activation = file.Text("mode") switch
            {
                "top_k" => file.Flag("use_z_relu", false) ? LorsaActivation.TopK : LorsaActivation.TopKMagnitude,
                "jumprelu" => LorsaActivation.Dense,
                _ => throw file.Refuse("mode", "known are top_k and jumprelu."),
            },
            HookIn = $"blocks.{layer}.ln1.hook_normalized",
            HookOut = $"blocks.{layer}.hook_attn_out",
        };
    }
}

/// <summary>Generated code that writes JSON: file-based programs switch reflection off.</summary>
[JsonSourceGenerationOptions(WriteIndented = true)]
[JsonSerializable(typeof(JsonObject))]
internal sealed partial class LorsaJson : JsonSerializerContext;
