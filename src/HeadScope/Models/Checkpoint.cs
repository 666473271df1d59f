using System.Globalization;

namespace HeadScope;

/// <summary>
/// Finds a model's parameters in a file. Shapes are checked here, from the file's directory alone; numbers are read when used.
/// </summary>
internal sealed class Checkpoint
{
    private readonly TensorFile file;
    private readonly TransformerConfig config;
    private readonly CheckpointNames names;
    private readonly string prefix;
    private readonly HashSet<string> used = new(StringComparer.Ordinal);

    private Checkpoint(TensorFile file, TransformerConfig config, CheckpointNames names)
    {
        this.file = file;
        this.config = config;
        this.names = names;
        prefix = file.Tensors.ContainsKey($"{names.Prefix}{names.TokenEmbedding}.weight") ? names.Prefix : "";
    }

    /// <summary>Finds all parameters.</summary>
    /// <exception cref="InvalidDataException">A tensor is missing, too many, or of another shape than the configuration says.</exception>
    public static Parameters Read(TensorFile file, TransformerConfig config, CheckpointNames names)
    {
        var checkpoint = new Checkpoint(file, config, names);
        var embedding = checkpoint.Matrix($"{checkpoint.prefix}{names.TokenEmbedding}.weight", config.VocabularySize, config.ModelWidth);
        var positions = names.PositionEmbedding is null
            ? null
            : checkpoint.Matrix($"{checkpoint.prefix}{names.PositionEmbedding}.weight", config.ContextLength, config.ModelWidth);
        var blocks = new TransformerBlock[config.LayerCount];
        for (var layer = 0; layer < blocks.Length; layer++)
        {
            blocks[layer] = checkpoint.Block(layer);
        }

        var finalNorm = checkpoint.Norm(checkpoint.prefix + names.FinalNorm);
        var unembedding = config.TiedEmbeddings
            ? embedding
            : checkpoint.Matrix($"{names.Unembedding}.weight", config.VocabularySize, config.ModelWidth);
        var unembeddingBias = checkpoint.Bias(names.Unembedding, config.VocabularySize, config.UnembeddingBias);
        checkpoint.RefuseUnknownLayerTensors();
        return new(embedding, positions, blocks, finalNorm, new(unembedding, inputsByRow: false, unembeddingBias));
    }

    private TransformerBlock Block(int layer)
    {
        var start = prefix + string.Format(CultureInfo.InvariantCulture, names.Layer, layer);
        var (d, heads, keyHeads, headWidth) = (config.ModelWidth, config.HeadCount, config.KeyValueHeadCount, config.HeadWidth);
        var attentionNorm = Norm(start + names.AttentionNorm);
        var mlpNorm = config.SharedNorm ? attentionNorm : Norm(start + names.MlpNorm);
        var (query, key, value) = names.Fused is not null && file.Tensors.ContainsKey($"{start}{names.Fused}.weight")
            ? Split(start + names.Fused)
            : (Linear(start + names.Query, d, heads * headWidth, config.QueryKeyValueBias, names.RotaryPairsAreNeighbours),
               Linear(start + names.Key, d, keyHeads * headWidth, config.QueryKeyValueBias, names.RotaryPairsAreNeighbours),
               Linear(start + names.Value, d, keyHeads * headWidth, config.QueryKeyValueBias));
        var output = Linear(start + names.AttentionOutput, heads * headWidth, d, config.AttentionOutputBias);
        var mlp = new Mlp(
            Linear(start + names.MlpIn, d, config.MlpWidth, config.MlpBias),
            config.GatedMlp ? Linear(start + names.MlpGate, d, config.MlpWidth, config.MlpBias) : null,
            Linear(start + names.MlpOutput, config.MlpWidth, d, config.MlpBias),
            config.Activation);
        return new(attentionNorm, new(query, key, value, output), mlpNorm, mlp);
    }

    private Norm Norm(string name) => new(
        config.Norm,
        config.NormEpsilon,
        config.ModelWidth,
        Vector($"{name}.weight", config.ModelWidth),
        config.Norm == NormKind.LayerNorm ? Vector($"{name}.bias", config.ModelWidth) : null);

    private Linear Linear(string name, int inputs, int outputs, bool? hasBias, bool neighbouringPairs = false)
    {
        var rowMap = neighbouringPairs ? HalfSplitRows(outputs) : null;
        var weight = names.InputsByRow
            ? Matrix($"{name}.weight", inputs, outputs)
            : Matrix($"{name}.weight", outputs, inputs, rowMap);
        var bias = Bias(name, outputs, hasBias);
        return new(weight, names.InputsByRow, bias is null || rowMap is null ? bias : new(() => Pick(bias.Value, rowMap)));
    }

    // Query, key and value of one fused matrix, each as a matrix of its own.
    private (Linear Query, Linear Key, Linear Value) Split(string name)
    {
        var (d, headWidth) = (config.ModelWidth, config.HeadWidth);
        var queryWidth = config.HeadCount * headWidth;
        var keyWidth = config.KeyValueHeadCount * headWidth;
        var all = queryWidth + (2 * keyWidth);
        Require($"{name}.weight", names.InputsByRow ? [d, all] : [all, d]);
        var bias = Bias(name, all, config.QueryKeyValueBias);
        return (Part(0, queryWidth), Part(1, keyWidth), Part(2, keyWidth));

        Linear Part(int part, int outputs)
        {
            var rows = new int[outputs];
            for (var i = 0; i < outputs; i++)
            {
                rows[i] = names.FusedOrder == FusedOrder.HeadByHead
                    ? ((((i / headWidth) * 3) + part) * headWidth) + (i % headWidth)
                    : (part == 0 ? 0 : queryWidth + ((part - 1) * keyWidth)) + i;
            }

            Weight weight = names.InputsByRow
                ? new StoredWeight(file, $"{name}.weight", d, outputs, all, firstColumn: rows[0])
                : new StoredWeight(file, $"{name}.weight", outputs, d, d, rowMap: rows);
            return new(weight, names.InputsByRow, bias is null ? null : new(() => Pick(bias.Value, rows)));
        }
    }

    // Row 2i of a head goes with channel i, row 2i + 1 with channel i + half: this is the file's row of each channel.
    private int[] HalfSplitRows(int outputs)
    {
        var half = config.HeadWidth / 2;
        var rows = new int[outputs];
        for (var i = 0; i < outputs; i++)
        {
            var channel = i % config.HeadWidth;
            rows[i] = i - channel + (channel < half ? 2 * channel : (2 * (channel - half)) + 1);
        }

        return rows;
    }

    private Lazy<float[]>? Bias(string name, int length, bool? expected) =>
        expected ?? file.Tensors.ContainsKey($"{name}.bias") ? Vector($"{name}.bias", length) : null;

    private Lazy<float[]> Vector(string name, int length)
    {
        Require(name, [length]);
        return new(() =>
        {
            var values = new float[length];
            file.Read(name, 0, values);
            return values;
        });
    }

    private StoredWeight Matrix(string name, int rows, int columns, int[]? rowMap = null)
    {
        Require(name, [rows, columns]);
        return new(file, name, rows, columns, columns, rowMap: rowMap);
    }

    private void Require(string name, ReadOnlySpan<long> shape)
    {
        if (!file.Tensors.TryGetValue(name, out var tensor))
        {
            throw new InvalidDataException(
                $"'{file.Path}' has no tensor '{name}'; a {config.Architecture} model with this configuration needs it.");
        }

        if (!tensor.Shape.ToArray().AsSpan().SequenceEqual(shape))
        {
            throw new InvalidDataException(
                $"Tensor '{name}' of '{file.Path}' has the shape [{string.Join(", ", tensor.Shape)}]; "
                + $"the configuration says [{string.Join(", ", shape.ToArray())}].");
        }

        used.Add(name);
    }

    // A parameter that nothing reads means that the model computes something else than we would.
    private void RefuseUnknownLayerTensors()
    {
        var layer = prefix + names.Layer[..names.Layer.IndexOf('{', StringComparison.Ordinal)];
        foreach (var name in file.Tensors.Keys)
        {
            if (used.Contains(name) || !name.StartsWith(layer, StringComparison.Ordinal))
            {
                continue;
            }

            var withoutNumber = name[(name.IndexOf('.', layer.Length) + 1)..];
            if (!names.Buffers.Contains(withoutNumber, StringComparer.Ordinal))
            {
                throw new NotSupportedException(
                    $"'{file.Path}' has a tensor '{name}' that a {config.Architecture} model of {config.LayerCount} layers "
                    + "with this configuration does not use; the model computes something that HeadScope does not.");
            }
        }
    }

    private static float[] Pick(float[] values, int[] indices) => Array.ConvertAll(indices, i => values[i]);
}
