using System.Globalization;
using static TorchSharp.torch;

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
        var keyHeads = keys.CountOrNull("attention.head_count_kv") ?? heads;
        if (heads % keyHeads != 0)
        {
            throw keys.Malformed("attention.head_count_kv", $"a number that divides the {heads} query heads");
        }

        var headWidth = keys.CountOrNull("attention.key_length")
            ?? (width % heads == 0 ? width / heads : throw keys.Malformed("attention.head_count", $"a number that divides the width {width}"));
        if ((long)heads * headWidth > int.MaxValue / 3)
        {
            throw keys.Malformed("attention.key_length", $"a width of which {heads} heads and their keys and values fit into a tensor");
        }

        if (keys.CountOrNull("attention.value_length") is { } valueWidth && valueWidth != headWidth)
        {
            throw keys.Refuse("attention.value_length", "values are as wide as keys.");
        }

        var context = keys.Count("context_length");
        if (!file.Tensors.TryGetValue("token_embd.weight", out var embedding) || embedding.Shape is not [> 0 and <= int.MaxValue, _])
        {
            throw new InvalidDataException($"'{file.Path}' has no tensor 'token_embd.weight' of rank 2 with a row for each token.");
        }

        // Each layer has tensors of its own; what is made for each layer is made after this.
        var layers = keys.Count("block_count");
        if (layers > file.Tensors.Count)
        {
            throw keys.Malformed("block_count", $"at most {file.Tensors.Count}, the number of tensors in the file");
        }

        var window = keys.NumberOrNull("attention.sliding_window") is > 0 && keys.Count("attention.sliding_window") is var length && length < context
            ? length
            : (int?)null;
        return new()
        {
            Architecture = architecture == "phi2" ? "phi" : architecture,
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = keyHeads,
            ModelWidth = width,
            HeadWidth = headWidth,
            MlpWidth = keys.Count("feed_forward_length"),
            VocabularySize = (int)embedding.Shape[0],
            ContextLength = window ?? context,
            SlidingWindow = window,
            Norm = rms ? NormKind.RmsNorm : NormKind.LayerNorm,
            NormEpsilon = keys.Positive(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
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
        if (keys.NumberOrNull("expert_count") is > 0)
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

    private static Rotary Rotary(TensorFile file, Metadata keys, int headWidth)
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

            using var scope = NewDisposeScope();
            divisors = file.Read(tensor.Name).to(float64).data<double>().ToArray();
        }

        return new(dimensions, keys.PositiveOrNull("rope.freq_base") ?? 10000, divisors);
    }

    // The metadata keys of one architecture.
    private sealed record Metadata(string Path, IReadOnlyDictionary<string, object> Values, string Prefix = "")
    {
        public int Count(string key) => CountOrNull(key) ?? throw Missing(key);

        public int? CountOrNull(string key) => NumberOrNull(key) is not { } number ? null
            : number >= 1 && number <= int.MaxValue && number == Math.Floor(number) ? (int)number
            : throw Malformed(key, "a whole number from 1 on");

        public double Positive(string key) => PositiveOrNull(key) ?? throw Missing(key);

        public double? PositiveOrNull(string key) => NumberOrNull(key) is not { } number ? null
            : number is > 0 and < double.PositiveInfinity ? number : throw Malformed(key, "a positive number");

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

        public InvalidDataException Malformed(string key, string expected) =>
            new($"'{Path}' has '{Prefix}{key}' = {Show(key)}; expected {expected}.");

        private InvalidDataException Missing(string key) => new($"'{Path}' has no metadata key '{Prefix}{key}'.");

        private string Show(string key) => Values.TryGetValue(Prefix + key, out var value)
            ? value is Array array ? $"[{string.Join(", ", array.Cast<object>())}]" : Convert.ToString(value, CultureInfo.InvariantCulture)!
            : "(missing)";
    }
}
