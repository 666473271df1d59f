namespace HeadScope;

/// <summary>Carries out <see cref="WeightProcessing"/> steps. The new weights are computed, in fp64, when they are first used, so that
/// processing a big model costs nothing for the layers nobody looks at.</summary>
internal static class Folding
{
    /// <exception cref="NotSupportedException">The step would change what this model computes.</exception>
    public static Transformer Apply(WeightProcessing step, Transformer net, TransformerConfig config) => step switch
    {
        WeightProcessing.FoldLayerNorm => net.With(
            block: FoldNorms, lnFinal: net.LnFinal.Bare(), unembedding: Fold(net.LnFinal, net.Unembedding)),
        WeightProcessing.CenterWritingWeights => config.Norm == NormKind.LayerNorm
            ? net.With(
                CenterRows(net.Embedding),
                net.Positions is { } positions ? CenterRows(positions) : null,
                block => block.With(
                    attention: block.Attention.With(output: CenterOutputs(block.Attention.Output)), mlp: block.Mlp.With(output: CenterOutputs(block.Mlp.Output))))
            : throw new NotSupportedException(
                $"{step} needs LayerNorm, which takes the mean of the residual stream away; this {config.Architecture} model has RMSNorm, "
                + "which does not, so that centring would change its predictions."),
        WeightProcessing.CenterUnembedding => net.With(unembedding: CenterOutputs(net.Unembedding)),
        WeightProcessing.FoldValueBiases => net.With(block: block => FoldValueBias(block, config)),
        _ => throw new ArgumentOutOfRangeException(nameof(step), step, "There is no such step."),
    };

    private static Block FoldNorms(Block block)
    {
        var (ln1, ln2, attention, mlp) = (block.Ln1, block.Ln2, block.Attention, block.Mlp);
        var bare = ln1.Bare();
        return block.With(
            bare,
            attention.With(Fold(ln1, attention.Query), Fold(ln1, attention.Key), Fold(ln1, attention.Value)),
            ReferenceEquals(ln1, ln2) ? bare : ln2.Bare(),
            mlp.With(Fold(ln2, mlp.Input), mlp.Gate is { } gate ? Fold(ln2, gate) : null));
    }

    // W ← W diag(g), its rows (the weights of one output) then centred for LayerNorm; b ← b + W c.
    private static Linear Fold(Norm norm, Linear linear)
    {
        var weight = linear.Weight;
        if (norm.Gain is { } gain)
        {
            var ofInputs = linear.InputsByRow ? 0 : 1;
            var factors = new Lazy<double[]>(gain.ToArray); // once, not for each range of rows
            Tensor Change(Tensor w)
            {
                var scaled = w.mul(tensor(factors.Value).unsqueeze(1 - ofInputs));
                return norm.Kind == NormKind.LayerNorm ? scaled.sub(scaled.mean([ofInputs], keepdim: true)) : scaled;
            }

            weight = linear.InputsByRow ? weight.Map(Change) : weight.MapRows(Change);
        }

        return linear with { Weight = weight, Bias = norm.Shift is { } shift ? PlusProduct(linear, shift.ToArray) : linear.Bias };
    }

    private static Parameter CenterRows(Parameter weight) => weight.MapRows(w => w.sub(w.mean([1], keepdim: true)));

    // Outputs minus their mean, for every input and for the bias.
    private static Linear CenterOutputs(Linear linear) => linear with
    {
        Weight = linear.InputsByRow ? CenterRows(linear.Weight) : CenterColumns(linear.Weight),
        Bias = linear.Bias?.Map(b => b.sub(b.mean())),
    };

    private static Parameter CenterColumns(Parameter weight)
    {
        var means = new Lazy<double[]>(() =>
        {
            using var scope = NewDisposeScope();
            var sum = zeros([weight.Shape[1]], float64);
            foreach (var (first, count) in weight.Chunks())
            {
                using var chunk = NewDisposeScope();
                sum.add_(weight.StoredRows(first, count).to(float64).sum([0]), Scalars.One);
            }

            return [.. sum.data<double>().Select(total => total / weight.Shape[0])];
        });
        return weight.MapRows(w => w.sub(tensor(means.Value)));
    }

    private static Block FoldValueBias(Block block, TransformerConfig config)
    {
        var attention = block.Attention;
        if (attention.Value.Bias is not { } bias)
        {
            return block;
        }

        var width = config.HeadWidth;
        var output = attention.Output with
        {
            Bias = PlusProduct(attention.Output, () =>
            {
                var values = bias.ToArray();
                return [.. Enumerable.Range(0, config.HeadCount * width)
                    .Select(i => values[(i / width / config.GroupSize * width) + (i % width)])];
            }),
        };
        return block.With(attention: attention.With(value: attention.Value with { Bias = null }, output: output));
    }

    // b + W x, in fp64.
    private static Parameter PlusProduct(Linear linear, Func<double[]> x) => linear.Weight.Beside([linear.Outputs], () =>
    {
        using var scope = NewDisposeScope();
        var vector = tensor(x());
        double[] product = linear.InputsByRow
            ? [.. linear.Weight.Stored().to(float64).t().matmul(vector).data<double>()]
            : [.. linear.Weight.Chunks().SelectMany(part =>
            {
                using var chunk = NewDisposeScope();
                return linear.Weight.StoredRows(part.First, part.Count).to(float64).matmul(vector).data<double>().ToArray();
            })];
        return linear.Bias is { } bias ? [.. product.Zip(bias.ToArray(), (a, b) => a + b)] : product;
    });
}
