namespace HeadScope;

/// <summary>Carries out <see cref="WeightProcessing"/> steps; the new weights are computed when they are first used.</summary>
internal static class WeightProcessor
{
    /// <summary>The parameters after one step.</summary>
    /// <exception cref="NotSupportedException">The step would change what this model computes.</exception>
    public static Parameters Apply(WeightProcessing step, Parameters parameters, TransformerConfig config) => step switch
    {
        WeightProcessing.FoldLayerNorm => FoldNorms(parameters),
        WeightProcessing.CenterWritingWeights => config.Norm == NormKind.LayerNorm
            ? CenterWriting(parameters)
            : throw new NotSupportedException(
                $"{step} needs LayerNorm, which takes the mean of the residual stream away; this {config.Architecture} model has RMSNorm, "
                + "which does not, so that centring would change its predictions."),
        WeightProcessing.CenterUnembedding => parameters with { Unembedding = CenterOutputs(parameters.Unembedding) },
        WeightProcessing.FoldValueBiases => FoldValueBiases(parameters, config),
        _ => throw new ArgumentOutOfRangeException(nameof(step), step, "There is no such step."),
    };

    private static Parameters FoldNorms(Parameters parameters) => parameters with
    {
        Blocks = Array.ConvertAll(parameters.Blocks, block =>
        {
            var (ln1, ln2) = (block.AttentionNorm, block.MlpNorm);
            var bare = Bare(ln1);
            return new TransformerBlock(
                bare,
                block.Attention with
                {
                    Query = Fold(ln1, block.Attention.Query),
                    Key = Fold(ln1, block.Attention.Key),
                    Value = Fold(ln1, block.Attention.Value),
                },
                ReferenceEquals(ln1, ln2) ? bare : Bare(ln2),
                block.Mlp with
                {
                    In = Fold(ln2, block.Mlp.In),
                    Gate = block.Mlp.Gate is { } gate ? Fold(ln2, gate) : null,
                });
        }),
        FinalNorm = Bare(parameters.FinalNorm),
        Unembedding = Fold(parameters.FinalNorm, parameters.Unembedding),
    };

    private static Norm Bare(Norm norm) => new(norm.Kind, norm.Epsilon, norm.Width, gain: null, shift: null);

    private static Linear Fold(Norm norm, Linear linear)
    {
        var gain = norm.LazyGain is { } lazy ? () => lazy.Value : (Func<float[]>?)null;
        var centering = norm.Kind == NormKind.RmsNorm ? ProcessedWeight.Centering.None
            : linear.InputsByRow ? ProcessedWeight.Centering.Columns
            : ProcessedWeight.Centering.Rows;
        var weight = linear.InputsByRow
            ? new ProcessedWeight(linear.Stored, rowScale: gain, columnScale: null, centering)
            : new ProcessedWeight(linear.Stored, rowScale: null, columnScale: gain, centering);
        var bias = norm.LazyShift is { } shift ? PlusProduct(linear.LazyBias, linear, () => shift.Value) : linear.LazyBias;
        return new(weight, linear.InputsByRow, bias);
    }

    private static Parameters CenterWriting(Parameters parameters) => parameters with
    {
        TokenEmbedding = CenterRows(parameters.TokenEmbedding),
        PositionEmbedding = parameters.PositionEmbedding is { } positions ? CenterRows(positions) : null,
        Blocks = Array.ConvertAll(parameters.Blocks, block => block with
        {
            Attention = block.Attention with { Output = CenterOutputs(block.Attention.Output) },
            Mlp = block.Mlp with { Output = CenterOutputs(block.Mlp.Output) },
        }),
    };

    private static Parameters FoldValueBiases(Parameters parameters, TransformerConfig config) => parameters with
    {
        Blocks = Array.ConvertAll(parameters.Blocks, block =>
        {
            var (value, output) = (block.Attention.Value, block.Attention.Output);
            if (value.LazyBias is not { } valueBias)
            {
                return block;
            }

            var bias = PlusProduct(output.LazyBias, output, () => PerQueryHead(valueBias.Value, config));
            return block with
            {
                Attention = block.Attention with
                {
                    Value = new(value.Stored, value.InputsByRow, bias: null),
                    Output = new(output.Stored, output.InputsByRow, bias),
                },
            };
        }),
    };

    private static ProcessedWeight CenterRows(Weight weight) =>
        new(weight, rowScale: null, columnScale: null, ProcessedWeight.Centering.Rows);

    // Outputs minus their mean, for every input and for the bias.
    private static Linear CenterOutputs(Linear linear)
    {
        var weight = new ProcessedWeight(
            linear.Stored,
            rowScale: null,
            columnScale: null,
            linear.InputsByRow ? ProcessedWeight.Centering.Rows : ProcessedWeight.Centering.Columns);
        var bias = linear.LazyBias is not { } old ? null : new Lazy<float[]>(() =>
        {
            var mean = old.Value.Average(x => (double)x);
            return Array.ConvertAll(old.Value, x => (float)(x - mean));
        });
        return new(weight, linear.InputsByRow, bias);
    }

    private static float[] PerQueryHead(float[] valueBias, TransformerConfig config)
    {
        var repeated = new float[config.HeadCount * config.HeadWidth];
        for (var head = 0; head < config.HeadCount; head++)
        {
            valueBias.AsSpan(head / config.GroupSize * config.HeadWidth, config.HeadWidth)
                .CopyTo(repeated.AsSpan(head * config.HeadWidth));
        }

        return repeated;
    }

    // b + x W, in fp64.
    private static Lazy<float[]> PlusProduct(Lazy<float[]>? bias, Linear linear, Func<float[]> vector) => new(() =>
    {
        var x = vector();
        var partial = new double[linear.Stored.ChunkCount][];
        linear.Stored.ForEachChunk((chunk, first, rows) =>
        {
            var sum = partial[chunk] = new double[linear.Outputs];
            for (var row = 0; row < rows.Rows; row++)
            {
                var numbers = rows.Row(row);
                if (!linear.InputsByRow)
                {
                    sum[first + row] = DoubleSums.Dot(numbers, x);
                    continue;
                }

                for (var i = 0; i < numbers.Length; i++)
                {
                    sum[i] += (double)x[first + row] * numbers[i];
                }
            }
        });
        var result = new float[linear.Outputs];
        for (var i = 0; i < result.Length; i++)
        {
            var total = bias is null ? 0.0 : bias.Value[i];
            foreach (var sum in partial)
            {
                total += sum[i];
            }

            result[i] = (float)total;
        }

        return result;
    });
}
