namespace HeadScope;

/// <summary>Finds a model's parameters in a file. Shapes are checked here, from the file's directory alone; numbers are read when used.</summary>
internal sealed class Checkpoint
{
    private readonly TensorFile file;
    private readonly TransformerConfig config;
    private readonly CheckpointNames names;
    private readonly WeightMemory memory;
    private readonly string prefix;
    private readonly HashSet<string> used = new(StringComparer.Ordinal);

    private Checkpoint(TensorFile file, TransformerConfig config, CheckpointNames names, WeightMemory memory)
    {
        (this.file, this.config, this.names, this.memory) = (file, config, names, memory);
        prefix = file.Tensors.ContainsKey($"{names.Prefix}{names.TokenEmbedding}.weight") ? names.Prefix : "";
    }

    /// <exception cref="InvalidDataException">A tensor is missing, too many, or of another shape than the configuration says.</exception>
    public static Transformer Read(TensorFile file, TransformerConfig config, CheckpointNames names, WeightMemory memory)
    {
        Fault.InvalidDataIf(config.LayerCount > file.Tensors.Count,
            $"The configuration says {config.LayerCount} layers; '{file.Path}' has {file.Tensors.Count} tensors, fewer than one for each.");
        var checkpoint = new Checkpoint(file, config, names, memory);
        var embedding = checkpoint.Stored($"{checkpoint.prefix}{names.TokenEmbedding}.weight", [config.VocabularySize, config.ModelWidth]);
        var positions = names.PositionEmbedding is not { } position
            ? null
            : checkpoint.Stored($"{checkpoint.prefix}{position}.weight", [config.ContextLength, config.ModelWidth]);
        Block[] blocks = [.. Enumerable.Range(0, config.LayerCount).Select(checkpoint.Block)];
        var finalNorm = checkpoint.Norm(checkpoint.prefix + names.FinalNorm);
        var unembedding = config.TiedEmbeddings
            ? embedding
            : checkpoint.Stored($"{names.Unembedding}.weight", [config.VocabularySize, config.ModelWidth]);
        var unembeddingBias = checkpoint.Bias(names.Unembedding, config.VocabularySize, config.Biases?.Unembedding);
        checkpoint.RefuseUnknownLayerTensors();
        memory.Close();
        return new(embedding, positions, blocks, finalNorm, new(unembedding, InputsByRow: false, unembeddingBias));
    }

    private Block Block(int layer)
    {
        var start = prefix + string.Format(CultureInfo.InvariantCulture, names.Layer, layer);
        var (d, heads, keyHeads, headWidth) = (config.ModelWidth, config.HeadCount, config.KeyValueHeadCount, config.HeadWidth);
        var attentionNorm = Norm(start + names.AttentionNorm);
        var mlpNorm = config.SharedNorm ? attentionNorm : Norm(start + names.MlpNorm);
        var (query, key, value) = names.Fused is not null && file.Tensors.ContainsKey($"{start}{names.Fused}.weight")
            ? Split(start + names.Fused)
            : (Linear(start + names.Query, d, heads * headWidth, config.Biases?.Attention, names.RotaryPairsAreNeighbours),
               Linear(start + names.Key, d, keyHeads * headWidth, config.Biases?.Attention, names.RotaryPairsAreNeighbours),
               Linear(start + names.Value, d, keyHeads * headWidth, config.Biases?.Attention));
        var output = Linear(start + names.AttentionOutput, heads * headWidth, d, config.Biases?.AttentionOutput);
        var mlp = new Mlp(
            Linear(start + names.MlpIn, d, config.MlpWidth, config.Biases?.Mlp),
            config.GatedMlp ? Linear(start + names.MlpGate, d, config.MlpWidth, config.Biases?.Mlp) : null,
            Linear(start + names.MlpOutput, config.MlpWidth, d, config.Biases?.Mlp),
            config.Activation);
        return new(attentionNorm, new(query, key, value, output, config), mlpNorm, mlp, config.ParallelResidual);
    }

    private Norm Norm(string name) => new(
        config.Norm,
        config.NormEpsilon,
        config.ModelWidth,
        Stored($"{name}.weight", [config.ModelWidth]),
        config.Norm == NormKind.LayerNorm ? Stored($"{name}.bias", [config.ModelWidth]) : null);

    private Linear Linear(string name, int inputs, int outputs, bool? hasBias, bool neighbouringPairs = false)
    {
        var order = neighbouringPairs ? HalfSplitRows(outputs) : null;
        long[] shape = names.InputsByRow ? [inputs, outputs] : [outputs, inputs];
        return new(Stored($"{name}.weight", shape, names.InputsByRow ? null : order), names.InputsByRow, Bias(name, outputs, hasBias, order));
    }

    // Query, key and value of one fused matrix, each as a matrix of its own.
    private (Linear Query, Linear Key, Linear Value) Split(string name)
    {
        var (d, headWidth) = (config.ModelWidth, config.HeadWidth);
        var queryWidth = config.HeadCount * headWidth;
        var keyWidth = config.KeyValueHeadCount * headWidth;
        var all = queryWidth + (2 * keyWidth);
        Require($"{name}.weight", names.InputsByRow ? [d, all] : [all, d]);
        return (Part(0, queryWidth), Part(1, keyWidth), Part(2, keyWidth));

        Linear Part(int part, int outputs)
        {
            long[] rows = [.. Enumerable.Range(0, outputs).Select(i => names.FusedHeadByHead
                ? ((((i / headWidth) * 3L) + part) * headWidth) + (i % headWidth)
                : (part == 0 ? 0 : queryWidth + ((part - 1) * keyWidth)) + i)];
            var weight = names.InputsByRow
                ? new Parameter(memory, [d, outputs], (first, count) => file.ReadRows($"{name}.weight", first, count).narrow(1, rows[0], outputs))
                : Rows($"{name}.weight", [outputs, d], rows);
            return new(weight, names.InputsByRow, Bias(name, all, config.Biases?.Attention, rows));
        }
    }

    // Row 2i of a head goes with channel i, row 2i + 1 with channel i + half: this is the file's row of each channel.
    private long[] HalfSplitRows(int outputs)
    {
        var half = config.HeadWidth / 2;
        return [.. Enumerable.Range(0, outputs).Select(i =>
        {
            var channel = i % config.HeadWidth;
            return (long)i - channel + (channel < half ? 2 * channel : (2 * (channel - half)) + 1);
        })];
    }

    private Parameter? Bias(string name, int length, bool? expected, long[]? order = null)
    {
        if (!(expected ?? file.Tensors.ContainsKey($"{name}.bias")))
        {
            return null;
        }

        Require($"{name}.bias", [length]);
        return Rows($"{name}.bias", [order?.Length ?? length], order);
    }

    private Parameter Stored(string name, long[] shape, long[]? order = null)
    {
        Require(name, shape);
        return Rows(name, shape, order);
    }

    // A tensor of the file, or its rows in another order, or some of them.
    private Parameter Rows(string name, long[] shape, long[]? order) => new(memory, shape, (first, count) =>
    {
        if (order is null)
        {
            return file.ReadRows(name, first, count);
        }

        var rows = order.AsSpan((int)first, (int)count).ToArray();
        var start = rows.Min();
        return file.ReadRows(name, start, rows.Max() - start + 1).index_select(0, tensor(Array.ConvertAll(rows, row => row - start)));
    });

    private void Require(string name, ReadOnlySpan<long> shape)
    {
        Fault.InvalidDataIf(!file.Tensors.TryGetValue(name, out var tensor),
            $"'{file.Path}' has no tensor '{name}'; a {config.Architecture} model with this configuration needs it.");
        Fault.InvalidDataIf(!tensor.Shape.ToArray().AsSpan().SequenceEqual(shape),
            $"Tensor '{name}' of '{file.Path}' has the shape [{string.Join(", ", tensor.Shape)}]; "
            + $"the configuration says [{string.Join(", ", shape.ToArray())}].");
        used.Add(name);
    }

    // A parameter that nothing reads means that the model computes something else than we would.
    private void RefuseUnknownLayerTensors()
    {
        var layer = prefix + names.Layer[..names.Layer.IndexOf('{', StringComparison.Ordinal)];
        var unknown = file.Tensors.Keys.FirstOrDefault(name => name.StartsWith(layer, StringComparison.Ordinal) && !used.Contains(name)
            && !names.Buffers.Contains(name[(name.IndexOf('.', layer.Length) + 1)..], StringComparer.Ordinal));
        Fault.NotSupportedIf(unknown is not null,
            $"'{file.Path}' has a tensor '{unknown}' that a {config.Architecture} model of {config.LayerCount} layers "
            + $"with this configuration does not use; the model computes something that HeadScope does not.");
    }
}
