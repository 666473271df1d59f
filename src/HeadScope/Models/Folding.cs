using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// Carries out <see cref="WeightProcessing"/> steps. The new weights are computed, in fp64, when they are first used, so that processing a
/// big model costs nothing for the layers nobody looks at.
/// </summary>
internal static class Folding
{
    /// <summary>The network after one step.</summary>
    /// <exception cref="NotSupportedException">The step would change what this model computes.</exception>
    public static Transformer Apply(WeightProcessing step, Transformer net, TransformerConfig config) => step switch
    {
        WeightProcessing.FoldLayerNorm => FoldNorms(net, config),
        WeightProcessing.CenterWritingWeights => config.Norm == NormKind.LayerNorm
            ? CenterWriting(net, config)
            : throw new NotSupportedException(
                $"{step} needs LayerNorm, which takes the mean of the residual stream away; this {config.Architecture} model has RMSNorm, "
                + "which does not, so that centring would change its predictions."),
        WeightProcessing.CenterUnembedding => new(net.Embedding, net.Positions, [.. net.Blocks], net.LnFinal, CenterOutputs(net.Unembedding)),
        WeightProcessing.FoldValueBiases => new(
            net.Embedding, net.Positions, [.. net.Blocks.Select(block => FoldValueBias(block, config))], net.LnFinal, net.Unembedding),
        _ => throw new ArgumentOutOfRangeException(nameof(step), step, "There is no such step."),
    };

    private static Transformer FoldNorms(Transformer net, TransformerConfig config)
    {
        Block[] blocks = [.. net.Blocks.Select(block =>
        {
            var (ln1, ln2, attention, mlp) = (block.Ln1, block.Ln2, block.Attention, block.Mlp);
            var bare = ln1.Bare();
            return new Block(
                bare,
                new(Fold(ln1, attention.Query), Fold(ln1, attention.Key), Fold(ln1, attention.Value), attention.Output, config),
                ReferenceEquals(ln1, ln2) ? bare : ln2.Bare(),
                new(Fold(ln2, mlp.Input), mlp.Gate is { } gate ? Fold(ln2, gate) : null, mlp.Output, mlp.Activation),
                block.Parallel);
        })];
        return new(net.Embedding, net.Positions, blocks, net.LnFinal.Bare(), Fold(net.LnFinal, net.Unembedding));
    }

    private static Transformer CenterWriting(Transformer net, TransformerConfig config) => new(
        CenterRows(net.Embedding),
        net.Positions is { } positions ? CenterRows(positions) : null,
        [.. net.Blocks.Select(block => new Block(
            block.Ln1,
            new(block.Attention.Query, block.Attention.Key, block.Attention.Value, CenterOutputs(block.Attention.Output), config),
            block.Ln2,
            new(block.Mlp.Input, block.Mlp.Gate, CenterOutputs(block.Mlp.Output), block.Mlp.Activation),
            block.Parallel))],
        net.LnFinal,
        net.Unembedding);

    // W ← W diag(g), its rows (the weights of one output) then centred for LayerNorm; b ← b + W c.
    private static Linear Fold(Norm norm, Linear linear)
    {
        var weight = linear.Weight;
        if (norm.Gain is { } gain)
        {
            var ofInputs = linear.InputsByRow ? 0 : 1;
            Tensor Change(Tensor w)
            {
                var scaled = w.mul(tensor(gain.ToArray()).unsqueeze(1 - ofInputs));
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
        var (attention, mlp) = (block.Attention, block.Mlp);
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
        return new(block.Ln1, new(attention.Query, attention.Key, attention.Value with { Bias = null }, output, config), block.Ln2, mlp, block.Parallel);
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
