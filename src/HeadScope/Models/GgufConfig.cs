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
        named.RefuseIf(architecture is not ("llama" or "qwen2" or "gpt2" or "phi2"), "the architectures of GGUF files are llama, qwen2, gpt2 and phi2");
        var keys = Keys(file.Path, metadata, architecture);
        RefuseFeatures(keys);
        var rms = architecture is "llama" or "qwen2";
        var width = keys.Required("embedding_length").Count();
        var (heads, keyHeads, headWidth) = HuggingFaceConfig.Heads(
            width, keys.Required("attention.head_count"), keys.Optional("attention.head_count_kv"), keys.Optional("attention.key_length"));
        keys["attention.value_length"].RefuseIf((keys.Optional("attention.value_length")?.Count() ?? headWidth) != headWidth, "values are as wide as keys");
        var context = keys.Required("context_length").Count();
        Fault.InvalidDataIf(
            !file.Tensors.TryGetValue("token_embd.weight", out var embedding) || embedding.Shape is not [> 0 and <= int.MaxValue, _],
            $"'{file.Path}' has no tensor 'token_embd.weight' of rank 2 with a row for each token.");

        // Each layer has tensors of its own; what is made for each layer is made after this.
        var layers = keys.Required("block_count");
        _ = layers.Count() <= file.Tensors.Count ? 0 : throw layers.Malformed($"at most {file.Tensors.Count}, the number of tensors in the file");
        var window = Stated(keys, "attention.sliding_window") is { } length && length.Count() < context ? length.Count() : (int?)null;
        return new TransformerConfig(
            Architecture: architecture == "phi2" ? "phi" : architecture,
            LayerCount: layers.Count(), HeadCount: heads, KeyValueHeadCount: keyHeads,
            ModelWidth: width, HeadWidth: headWidth,
            MlpWidth: keys.Required("feed_forward_length").Count(),
            VocabularySize: (int)embedding.Shape[0],
            ContextLength: window ?? context, SlidingWindow: window,
            Norm: rms ? NormKind.RmsNorm : NormKind.LayerNorm,
            NormEpsilon: keys.Required(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon").Positive(),
            Rotary: architecture == "gpt2" ? null : Rotary(file, keys, headWidth),
            Activation: rms ? ActivationFunction.Silu : ActivationFunction.GeluTanh, GatedMlp: rms,
            ParallelResidual: architecture == "phi2", SharedNorm: architecture == "phi2",
            TiedEmbeddings: !file.Tensors.ContainsKey("output.weight"));
    }

    private static void RefuseFeatures(JsonField keys)
    {
        const string Unscaled = "rotary positions are unscaled, or scaled by a tensor 'rope_freqs.weight' (llama3)";
        keys["expert_count"].RefuseIf(Stated(keys, "expert_count") is not null, "mixtures of experts are not");
        keys["rope.scaling.type"].RefuseIf((keys.Optional("rope.scaling.type")?.Text() ?? "none") != "none", Unscaled);
        foreach (var key in new[] { "rope.scaling.factor", "rope.scale_linear" })
        {
            keys[key].RefuseIf((Stated(keys, key)?.Positive() ?? 1) != 1, Unscaled);
        }

        foreach (var key in new[] { "attention.head_count", "attention.head_count_kv", "feed_forward_length" })
        {
            keys[key].RefuseIf(keys[key].Value.ValueKind == JsonValueKind.Array, "all layers have the same number");
        }
    }

    // 0 stands for what is not there.
    private static JsonField? Stated(JsonField keys, string key) => keys.Optional(key) is { } field && field.Value.GetRawText() != "0" ? field : null;

    private static Rotary Rotary(TensorFile file, JsonField keys, int headWidth)
    {
        var dimensions = keys.Optional("rope.dimension_count")?.Count() ?? headWidth;
        keys["rope.dimension_count"].RefuseIf(dimensions % 2 != 0 || dimensions > headWidth, $"an even number up to the head width, {headWidth}, is");
        double[]? divisors = null;
        if (file.Tensors.TryGetValue("rope_freqs.weight", out var tensor))
        {
            Fault.InvalidDataIf(tensor.Length != dimensions / 2, $"{tensor.Where} has {tensor.Length} numbers; expected {dimensions / 2}.");
            using var scope = NewDisposeScope();
            divisors = file.Read(tensor.Name).to(float64).data<double>().ToArray();
        }

        return new(dimensions, keys.Optional("rope.freq_base")?.Positive() ?? 10000, divisors);
    }

    // The metadata whose keys begin with a prefix, as if a JSON file held them.
    private static JsonField Keys(string path, IReadOnlyDictionary<string, object> metadata, string prefix)
    {
        var found = new JsonObject(metadata.Where(pair => pair.Key.StartsWith(prefix + '.', StringComparison.Ordinal))
            .Select(pair => KeyValuePair.Create(pair.Key[(prefix.Length + 1)..], Node(pair.Value))));
        return JsonField.Parse(path, Encoding.UTF8.GetBytes(found.ToJsonString())) with { Key = prefix };
    }

    private static JsonNode? Node(object value) => value switch
    {
        bool truth => truth,
        Array array when array.Cast<object>().Distinct().ToArray() is [var same] => Node(same), // a number for each layer
        Array array => new JsonArray([.. array.Cast<object>().Select(Node)]),
        IConvertible and not string when Convert.ToDouble(value, CultureInfo.InvariantCulture) is var number && double.IsFinite(number) => number,
        _ => Convert.ToString(value, CultureInfo.InvariantCulture),
    };
}
