using System.Globalization;

namespace HeadScope;

/// <summary>Reads a model's shape from the metadata of a GGUF file; refuses what the forward pass would not compute.</summary>
internal static class GgufConfig
{
    /// <summary>Reads a configuration.</summary>
    /// <param name="file">The file, for its tensors.</param>
    /// <param name="metadata">Its metadata.</param>
    /// <exception cref="InvalidDataException">A key is missing or malformed.</exception>
    /// <exception cref="NotSupportedException">The model needs something that is not supported.</exception>
    public static TransformerConfig Read(TensorFile file, IReadOnlyDictionary<string, object> metadata)
    {
        var keys = new Metadata(file.Path, metadata);
        var architecture = keys.Text("general.architecture");
        if (architecture is not ("llama" or "qwen2" or "gpt2" or "phi2"))
        {
            throw keys.Refuse("general.architecture", "the architectures of GGUF files are llama, qwen2, gpt2 and phi2.");
        }

        keys = keys with { Prefix = architecture + "." };
        RefuseFeatures(keys);
        var rms = architecture is "llama" or "qwen2";
        var width = keys.Count("embedding_length");
        var heads = keys.Count("attention.head_count");
        var headWidth = keys.CountOrNull("attention.key_length") ?? width / heads;
        if (keys.CountOrNull("attention.value_length") is { } valueWidth && valueWidth != headWidth)
        {
            throw keys.Refuse("attention.value_length", "values are as wide as keys.");
        }

        var context = keys.Count("context_length");
        if (!file.Tensors.TryGetValue("token_embd.weight", out var embedding) || embedding.Shape.Count != 2)
        {
            throw new InvalidDataException($"'{file.Path}' has no tensor 'token_embd.weight' of rank 2.");
        }

        var window = keys.CountOrNull("attention.sliding_window") is { } length && length < context ? length : (int?)null;
        return new()
        {
            Architecture = architecture == "phi2" ? "phi" : architecture,
            LayerCount = keys.Count("block_count"),
            HeadCount = heads,
            KeyValueHeadCount = keys.CountOrNull("attention.head_count_kv") ?? heads,
            ModelWidth = width,
            HeadWidth = headWidth,
            MlpWidth = keys.Count("feed_forward_length"),
            VocabularySize = checked((int)embedding.Shape[0]),
            ContextLength = window ?? context,
            SlidingWindow = window,
            Norm = rms ? NormKind.RmsNorm : NormKind.LayerNorm,
            NormEpsilon = keys.Number(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
            Rotary = architecture == "gpt2" ? null : Rotary(file, keys, headWidth),
            Activation = rms ? ActivationFunction.Silu : ActivationFunction.GeluTanh,
            GatedMlp = rms,
            ParallelResidual = architecture == "phi2",
            SharedNorm = architecture == "phi2",
            TiedEmbeddings = !file.Tensors.ContainsKey("output.weight"),
        };
    }

    private static void RefuseFeatures(Metadata keys)
    {
        if (keys.CountOrNull("expert_count") is > 0)
        {
            throw keys.Refuse("expert_count", "mixtures of experts are not.");
        }

        if (keys.TextOrNull("rope.scaling.type") is not (null or "none"))
        {
            throw keys.Refuse("rope.scaling.type", "rotary positions are unscaled, or scaled by a tensor 'rope_freqs.weight' (llama3).");
        }

        foreach (var key in new[] { "rope.scaling.factor", "rope.scale_linear" })
        {
            if (keys.NumberOrNull(key) is { } factor && factor != 1 && factor != 0)
            {
                throw keys.Refuse(key, "rotary positions are unscaled, or scaled by a tensor 'rope_freqs.weight' (llama3).");
            }
        }
    }

    private static RotaryEmbedding Rotary(TensorFile file, Metadata keys, int headWidth)
    {
        var dimensions = keys.CountOrNull("rope.dimension_count") ?? headWidth;
        if (dimensions % 2 != 0 || dimensions > headWidth)
        {
            throw keys.Refuse("rope.dimension_count", $"an even number up to the head width, {headWidth}, is.");
        }

        double[]? divisors = null;
        if (file.Tensors.TryGetValue("rope_freqs.weight", out var tensor))
        {
            if (tensor.Length != dimensions / 2)
            {
                throw new InvalidDataException(
                    $"Tensor 'rope_freqs.weight' of '{file.Path}' has {tensor.Length} numbers; expected {dimensions / 2}.");
            }

            var numbers = new float[dimensions / 2];
            file.Read(tensor.Name, 0, numbers);
            divisors = Array.ConvertAll(numbers, number => (double)number);
        }

        return new(dimensions, keys.NumberOrNull("rope.freq_base") ?? 10000, divisors);
    }

    // The metadata keys of one architecture.
    private sealed record Metadata(string Path, IReadOnlyDictionary<string, object> Values, string Prefix = "")
    {
        public int Count(string key) => CountOrNull(key) ?? throw Missing(key);

        public int? CountOrNull(string key) => NumberOrNull(key) is not { } number ? null
            : number >= 0 && number <= int.MaxValue && number == Math.Floor(number) ? (int)number
            : throw Malformed(key, "a whole number");

        public double Number(string key) => NumberOrNull(key) ?? throw Missing(key);

        public double? NumberOrNull(string key)
        {
            if (!Values.TryGetValue(Prefix + key, out var value))
            {
                return null;
            }

            if (value is Array { Length: > 0 } array)
            {
                // One number for each layer: fine as long as they are the same.
                var distinct = array.Cast<object>().Distinct().ToArray();
                value = distinct.Length == 1 ? distinct[0] : throw Refuse(key, "the same number in all layers is.");
            }

            return value is string or bool or not IConvertible
                ? throw Malformed(key, "a number")
                : Convert.ToDouble(value, CultureInfo.InvariantCulture);
        }

        public string Text(string key) => TextOrNull(key) ?? throw Missing(key);

        public string? TextOrNull(string key) => !Values.TryGetValue(Prefix + key, out var value) ? null
            : value as string ?? throw Malformed(key, "a text");

        public NotSupportedException Refuse(string key, string supported) => new(
            $"'{Path}' asks for '{Prefix}{key}' = {Show(key)}, which HeadScope does not support: {supported}");

        private InvalidDataException Missing(string key) => new($"'{Path}' has no metadata key '{Prefix}{key}'.");

        private InvalidDataException Malformed(string key, string expected) =>
            new($"'{Path}' has '{Prefix}{key}' = {Show(key)}; expected {expected}.");

        private string Show(string key) => Values.TryGetValue(Prefix + key, out var value)
            ? value is Array array ? $"[{string.Join(", ", array.Cast<object>())}]" : Convert.ToString(value, CultureInfo.InvariantCulture)!
            : "(missing)";
    }
}
