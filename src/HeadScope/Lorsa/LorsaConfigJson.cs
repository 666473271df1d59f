using System.Text.Json;
using System.Text.Json.Nodes;

namespace HeadScope;

/// <summary>The <c>config.json</c> of OpenMOSS's Language-Model-SAEs (layout A) and of the first published Lorsa code (layout B).</summary>
internal static class LorsaConfigJson
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Whether the configuration is one of the first published code.</summary>
    public static bool IsFirstLayout(JsonElement json) => json.TryGetProperty("n_ov_heads", out _);

    /// <summary>Reads a configuration of either layout.</summary>
    /// <param name="json">The object.</param>
    /// <param name="path">Where it is from, for messages.</param>
    /// <exception cref="InvalidDataException">A field is missing or has another type.</exception>
    /// <exception cref="NotSupportedException">It asks for something that a Lorsa here does not do.</exception>
    public static LorsaConfig Read(JsonElement json, string path)
    {
        var fields = new Fields(json, path);
        var config = IsFirstLayout(json) ? ReadFirst(fields) : ReadCurrent(fields);
        try
        {
            config.Validate();
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"'{path}' does not describe a Lorsa: {error.Message}", error);
        }

        return config;
    }

    /// <summary>Writes a configuration of layout A.</summary>
    public static string Write(LorsaConfig config, LorsaNormalization normalization)
    {
        var rotary = config.Rotary;
        var scaling = rotary?.Scaling;
        var json = new JsonObject
        {
            ["sae_type"] = "lorsa",
            ["d_model"] = config.ModelWidth,
            ["expansion_factor"] = ExpansionFactor(config),
            ["use_decoder_bias"] = config.HasOutputBias,
            ["act_fn"] = config.Activation switch
            {
                LorsaActivation.TopK => "topk",
                LorsaActivation.BatchTopK => "batchtopk",
                LorsaActivation.Relu => "relu",
                LorsaActivation.JumpRelu => "jumprelu",
                _ => throw new NotSupportedException(
                    $"The activation {config.Activation} has no name in the layout of Language-Model-SAEs; it knows TopK, BatchTopK, Relu and JumpRelu."),
            },
            ["norm_activation"] = normalization == LorsaNormalization.None ? "inference" : "dataset-wise",
            ["sparsity_include_decoder_norm"] = config.ScoreByOutputNorm,
            ["top_k"] = config.TopK,
            ["use_triton_kernel"] = false,
            ["sparsity_threshold_for_triton_spmm_kernel"] = 0.996,
            ["jumprelu_threshold_window"] = config.JumpReluWindow,
            ["hook_point_in"] = config.HookIn,
            ["hook_point_out"] = config.HookOut,
            ["n_qk_heads"] = config.QkHeads,
            ["d_qk_head"] = config.QkWidth,
            ["positional_embedding_type"] = rotary is null ? "none" : "rotary",
            ["rotary_dim"] = rotary?.Dimensions ?? config.QkWidth,
            ["rotary_base"] = rotary?.Base ?? 10000,
            ["rotary_adjacent_pairs"] = rotary?.AdjacentPairs ?? false,
            ["rotary_scale"] = rotary?.Repeat ?? 1,
            ["use_NTK_by_parts_rope"] = scaling is not null,
            ["NTK_by_parts_factor"] = scaling?.Factor ?? 1.0,
            ["NTK_by_parts_low_freq_factor"] = scaling?.LowFrequencyFactor ?? 1.0,
            ["NTK_by_parts_high_freq_factor"] = scaling?.HighFrequencyFactor ?? 1.0,
            ["old_context_len"] = scaling?.OldContextLength ?? 2048,
            ["n_ctx"] = config.ContextLength,
            ["attn_scale"] = config.Scale,
            ["use_post_qk_ln"] = config.QkNorm,
            ["normalization_type"] = config.QkNorm ? "RMS" : null,
            ["eps"] = config.QkNormEpsilon,
        };

        // The base is a whole number there.
        if (rotary is null || rotary.Base == Math.Floor(rotary.Base))
        {
            json["rotary_base"] = (long)(rotary?.Base ?? 10000);
        }

        return json.ToJsonString(Indented);
    }

    /// <summary>A factor f with <c>int(d f) = n</c> in fp64: n / d alone may fall below it by rounding.</summary>
    private static double ExpansionFactor(LorsaConfig config)
    {
        var factor = (double)config.Heads / config.ModelWidth;
        return (int)(config.ModelWidth * factor) == config.Heads ? factor : Math.BitIncrement(factor);
    }

    private static LorsaConfig ReadCurrent(Fields fields)
    {
        if (fields.Text("sae_type") is var type and not "lorsa")
        {
            throw new NotSupportedException($"'{fields.Path}' is a '{type}'; expected sae_type 'lorsa'.");
        }

        var qkNorm = fields.Flag("use_post_qk_ln", false);
        if (qkNorm && fields.TextOrNull("normalization_type") is var norm and not "RMS")
        {
            throw new NotSupportedException($"'{fields.Path}' normalises queries and keys by '{norm}'; only 'RMS' is known.");
        }

        var width = fields.Whole("d_model");
        return new LorsaConfig
        {
            ModelWidth = width,
            Heads = (int)(width * fields.Number("expansion_factor")),
            QkHeads = fields.Whole("n_qk_heads"),
            QkWidth = fields.Whole("d_qk_head"),
            ContextLength = fields.Whole("n_ctx"),
            Activation = fields.Text("act_fn").ToLowerInvariant() switch
            {
                "topk" => LorsaActivation.TopK,
                "batchtopk" => LorsaActivation.BatchTopK,
                "relu" => LorsaActivation.Relu,
                "jumprelu" => LorsaActivation.JumpRelu,
                var other => throw new NotSupportedException(
                    $"'{fields.Path}' has act_fn '{other}'; known are topk, batchtopk, relu and jumprelu."),
            },
            TopK = fields.Whole("top_k"),
            ScoreByOutputNorm = fields.Flag("sparsity_include_decoder_norm", true),
            HasOutputBias = fields.Flag("use_decoder_bias", true),
            QkNorm = qkNorm,
            QkNormEpsilon = fields.NumberOr("eps", 1e-6),
            AttentionScale = fields.NumberOrNull("attn_scale"),
            Rotary = ReadRotary(fields),
            JumpReluWindow = fields.NumberOr("jumprelu_threshold_window", 2),
            HookIn = fields.Text("hook_point_in"),
            HookOut = fields.Text("hook_point_out"),
        };
    }

    private static LorsaConfig ReadFirst(Fields fields)
    {
        if (fields.WholeOr("d_ov_head", 1) is var ov and not 1)
        {
            throw new NotSupportedException($"'{fields.Path}' has OV heads of width {ov} (d_ov_head); only width 1 is a Lorsa here.");
        }

        if (fields.WholeOr("virtual_kv_num", 0) is var extra and not 0)
        {
            throw new NotSupportedException(
                $"'{fields.Path}' has {extra} virtual keys (virtual_kv_num), with which the published code lets a token see later ones; "
                + "such a Lorsa is not read.");
        }

        var layer = fields.WholeOr("layer", 0);
        return new LorsaConfig
        {
            ModelWidth = fields.Whole("d_model"),
            Heads = fields.Whole("n_ov_heads"),
            QkHeads = fields.Whole("n_qk_heads"),
            QkWidth = fields.Whole("d_qk_head"),
            ContextLength = fields.Whole("n_ctx"),
            Activation = fields.Text("mode") switch
            {
                "top_k" => fields.Flag("use_z_relu", false) ? LorsaActivation.TopK : LorsaActivation.TopKMagnitude,
                "jumprelu" => LorsaActivation.Dense,
                var other => throw new NotSupportedException($"'{fields.Path}' has mode '{other}'; known are top_k and jumprelu."),
            },
            TopK = fields.Whole("top_k"),
            AttentionScale = fields.NumberOrNull("attn_scale"),
            Rotary = ReadRotary(fields),
            HookIn = $"blocks.{layer}.ln1.hook_normalized",
            HookOut = $"blocks.{layer}.hook_attn_out",
        };
    }

    private static LorsaRotary? ReadRotary(Fields fields)
    {
        if (fields.Text("positional_embedding_type") is var position and not "rotary")
        {
            return position is "none" or "default"
                ? null
                : throw new NotSupportedException(
                    $"'{fields.Path}' has positional_embedding_type '{position}'; known are rotary, none and default.");
        }

        return new LorsaRotary
        {
            Dimensions = fields.Whole("rotary_dim"),
            Base = fields.Number("rotary_base"),
            AdjacentPairs = fields.Flag("rotary_adjacent_pairs", false),
            Repeat = fields.WholeOr("rotary_scale", 1),
            Scaling = fields.Flag("use_NTK_by_parts_rope", false)
                ? new LorsaRotaryScaling(
                    fields.Number("NTK_by_parts_factor"), fields.Number("NTK_by_parts_low_freq_factor"),
                    fields.Number("NTK_by_parts_high_freq_factor"), fields.Whole("old_context_len"))
                : null,
        };
    }

    /// <summary>The fields of an object, with messages that name the file and the field.</summary>
    private readonly record struct Fields(JsonElement Json, string Path)
    {
        public string Text(string name) => TextOrNull(name) ?? throw Wrong(name, "text");

        public string? TextOrNull(string name) =>
            Find(name) is not { } value ? null : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, "text");

        public int Whole(string name) => WholeOrNull(name) ?? throw Wrong(name, "a whole number");

        public int WholeOr(string name, int other) => WholeOrNull(name) ?? other;

        public double Number(string name) => NumberOrNull(name) ?? throw Wrong(name, "a number");

        public double NumberOr(string name, double other) => NumberOrNull(name) ?? other;

        public double? NumberOrNull(string name) =>
            Find(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Wrong(name, "a number");

        public bool Flag(string name, bool other) => Find(name) is not { } value ? other
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, "true or false");

        private int? WholeOrNull(string name) => NumberOrNull(name) is not { } number ? null
            : number == Math.Floor(number) && Math.Abs(number) <= int.MaxValue ? (int)number : throw Wrong(name, "a whole number");

        private JsonElement? Find(string name) =>
            Json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

        private InvalidDataException Wrong(string name, string expected) =>
            new($"'{Path}', field '{name}': expected {expected}, found {(Find(name) is { } value ? value.GetRawText() : "nothing")}.");
    }
}
