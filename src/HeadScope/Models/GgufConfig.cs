using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>Reads a model's shape from the metadata of a GGUF file; refuses what the forward pass would not compute.</summary>
internal static class GgufConfig
{
    /// <exception cref="InvalidDataException">A key is missing or malformed.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported.</exception>
    public static TransformerConfig Read(TensorFile file, IReadOnlyDictionary<string, object> metadata)
    {
        var named = Keys(file.Path, metadata, "general").Required("architecture");
        var architecture = named.Text();
        if (architecture is not ("llama" or "qwen2" or "gpt2" or "phi2"))
        {
            throw named.Refuse("the architectures of GGUF files are llama, qwen2, gpt2 and phi2");
        }

        var keys = Keys(file.Path, metadata, architecture);
        RefuseFeatures(keys);
        var rms = architecture is "llama" or "qwen2";
        var width = keys.Required("embedding_length").Count();
        var headCount = keys.Required("attention.head_count");
        var heads = headCount.Count();
        var keyHeads = keys.Optional("attention.head_count_kv")?.Count() ?? heads;
        if (heads % keyHeads != 0)
        {
            throw keys.Required("attention.head_count_kv").Malformed($"a number that divides the {heads} query heads");
        }

        var headWidth = keys.Optional("attention.key_length")?.Count()
            ?? (width % heads == 0 ? width / heads : throw headCount.Malformed($"a number that divides the width {width}"));
        if ((long)heads * headWidth > int.MaxValue / 3)
        {
            throw (keys.Optional("attention.key_length") ?? headCount).Malformed($"a width of which {heads} heads and their keys and values fit into a tensor");
        }

        if (keys.Optional("attention.value_length") is { } valueWidth && valueWidth.Count() != headWidth)
        {
            throw valueWidth.Refuse("values are as wide as keys");
        }

        var context = keys.Required("context_length").Count();
        if (!file.Tensors.TryGetValue("token_embd.weight", out var embedding) || embedding.Shape is not [> 0 and <= int.MaxValue, _])
        {
            throw new InvalidDataException($"'{file.Path}' has no tensor 'token_embd.weight' of rank 2 with a row for each token.");
        }

        // Each layer has tensors of its own; what is made for each layer is made after this.
        var layers = keys.Required("block_count");
        if (layers.Count() > file.Tensors.Count)
        {
            throw layers.Malformed($"at most {file.Tensors.Count}, the number of tensors in the file");
        }

        var window = Stated(keys, "attention.sliding_window") is { } length && length.Count() < context ? length.Count() : (int?)null;
        return new TransformerConfig(
            Architecture: architecture == "phi2" ? "phi" : architecture,
            LayerCount: layers.Count(),
            HeadCount: heads,
            KeyValueHeadCount: keyHeads,
            ModelWidth: width,
            HeadWidth: headWidth,
            MlpWidth: keys.Required("feed_forward_length").Count(),
            VocabularySize: (int)embedding.Shape[0],
            ContextLength: window ?? context,
            SlidingWindow: window,
            Norm: rms ? NormKind.RmsNorm : NormKind.LayerNorm,
            NormEpsilon: keys.Required(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon").Positive(),
            Rotary: architecture == "gpt2" ? null : Rotary(file, keys, headWidth),
            Activation: rms ? ActivationFunction.Silu : ActivationFunction.GeluTanh,
            GatedMlp: rms,
            ParallelResidual: architecture == "phi2",
            SharedNorm: architecture == "phi2",
            TiedEmbeddings: !file.Tensors.ContainsKey("output.weight"));
    }

    private static void RefuseFeatures(JsonField keys)
    {
        if (Stated(keys, "expert_count") is { } experts)
        {
            throw experts.Refuse("mixtures of experts are not");
        }

        const string Unscaled = "rotary positions are unscaled, or scaled by a tensor 'rope_freqs.weight' (llama3)";
        if (keys.Optional("rope.scaling.type") is { } scaling && scaling.Text() != "none")
        {
            throw scaling.Refuse(Unscaled);
        }

        foreach (var key in new[] { "rope.scaling.factor", "rope.scale_linear" })
        {
            if (Stated(keys, key) is { } factor && factor.Positive() != 1)
            {
                throw factor.Refuse(Unscaled);
            }
        }

        foreach (var key in new[] { "attention.head_count", "attention.head_count_kv", "feed_forward_length" })
        {
            if (keys.Optional(key) is { Value.ValueKind: System.Text.Json.JsonValueKind.Array } numbers)
            {
                throw numbers.Refuse("all layers have the same number");
            }
        }
    }

    // 0 stands for what is not there.
    private static JsonField? Stated(JsonField keys, string key) => keys.Optional(key) is { } field && field.Value.GetRawText() != "0" ? field : null;

    private static Rotary Rotary(TensorFile file, JsonField keys, int headWidth)
    {
        var stated = keys.Optional("rope.dimension_count");
        var dimensions = stated?.Count() ?? headWidth;
        if (dimensions % 2 != 0 || dimensions > headWidth)
        {
            throw (stated ?? keys).Refuse($"an even number up to the head width, {headWidth}, is");
        }

        double[]? divisors = null;
        if (file.Tensors.TryGetValue("rope_freqs.weight", out var tensor))
        {
            if (tensor.Length != dimensions / 2)
            {
                throw new InvalidDataException($"{tensor.Where} has {tensor.Length} numbers; expected {dimensions / 2}.");
            }

            using var scope = NewDisposeScope();
            divisors = file.Read(tensor.Name).to(float64).data<double>().ToArray();
        }

        return new(dimensions, keys.Optional("rope.freq_base")?.Positive() ?? 10000, divisors);
    }

    // The metadata whose keys begin with a prefix, as if a JSON file held them.
    private static JsonField Keys(string path, IReadOnlyDictionary<string, object> metadata, string prefix)
    {
        var found = new JsonObject();
        foreach (var (key, value) in metadata.Where(pair => pair.Key.StartsWith(prefix + '.', StringComparison.Ordinal)))
        {
            found[key[(prefix.Length + 1)..]] = Node(value);
        }

        return JsonField.Parse(path, Encoding.UTF8.GetBytes(found.ToJsonString())) with { Key = prefix };
    }

    private static JsonNode? Node(object value)
    {
        switch (value)
        {
            case bool truth:
                return truth;
            case Array { Length: > 0 } array:
                // One number for each layer: fine as long as they are the same.
                var distinct = array.Cast<object>().Distinct().ToArray();
                return distinct.Length == 1 ? Node(distinct[0]) : new JsonArray([.. array.Cast<object>().Select(Node)]);
            case IConvertible and not string when Convert.ToDouble(value, CultureInfo.InvariantCulture) is var number && double.IsFinite(number):
                return number;
            default:
                return Convert.ToString(value, CultureInfo.InvariantCulture);
        }
    }
}
