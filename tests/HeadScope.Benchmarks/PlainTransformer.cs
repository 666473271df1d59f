using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace HeadScope.Benchmarks;

/// <summary>
/// The peer of the forward pass: GPT-2 or Llama as one writes them with TorchSharp, from the library's fused operations, without hooks, names
/// or checks. Weights are rows by outputs, [out, in], those of queries, keys and values in one matrix.
/// </summary>
internal sealed class PlainTransformer(
    List<Tensor> owned, int heads, int keyHeads, Tensor embedding, Tensor? positions, (Tensor Cos, Tensor Sin)? rotary, PlainTransformer.Block[] blocks,
    PlainTransformer.Norm finalNorm) : IDisposable
{
    /// <summary>The network of a model, its weights copied to the layout of this class.</summary>
    public static PlainTransformer Of(Model model)
    {
        using var scope = NewDisposeScope();
        var (config, net) = (model.Config, model.Net);
        var owned = new List<Tensor>();
        var table = config.Rotary is { } rotary ? Table(rotary, config.ContextLength) : default((Tensor Cos, Tensor Sin)?);
        return new(
            owned,
            config.HeadCount,
            config.KeyValueHeadCount,
            Own(net.W_E),
            net.W_pos is { } positions ? Own(positions) : null,
            table is { } turn ? (Own(turn.Cos), Own(turn.Sin)) : null,
            [.. net.Blocks.Select(block => new Block(
                NormOf(block.Ln1),
                Join(
                    (block.Attention.W_Q, block.Attention.b_Q), (block.Attention.W_K, block.Attention.b_K), (block.Attention.W_V, block.Attention.b_V)),
                Map(block.Attention.W_O.flatten(0, 1), block.Attention.b_O),
                NormOf(block.Ln2),
                block.Mlp.W_gate is { } gate ? Map(gate, block.Mlp.b_gate) : null,
                Map(block.Mlp.W_in, block.Mlp.b_in),
                Map(block.Mlp.W_out, block.Mlp.b_out)))],
            NormOf(net.LnFinal));

        Tensor Own(Tensor weight)
        {
            owned.Add(weight.DetachFromDisposeScope());
            return weight;
        }

        Norm NormOf(HeadScope.Norm norm) => new(Own(norm.w!), norm.b is { } shift ? Own(shift) : null, norm.Epsilon);
        Affine Map(Tensor w, Tensor? b) => new(Own(w.t().contiguous()), b is null ? null : Own(b));
        Affine Join(params (Tensor W, Tensor? B)[] parts) => Map(
            cat([.. parts.Select(part => part.W.transpose(0, 1).flatten(1))], 1),
            parts[0].B is null ? null : cat([.. parts.Select(part => part.B!.flatten())]));
    }

    /// <summary>The logits of all positions, [batch, position, vocabulary].</summary>
    /// <param name="tokens">Token ids, [batch, position].</param>
    /// <param name="cache">Keys and values of the positions before, which these are added to; null to forget them.</param>
    public Tensor Forward(Tensor tokens, Cache? cache = null)
    {
        using var gradients = no_grad();
        using var scope = NewDisposeScope();
        var (past, count) = (cache?.Length ?? 0, tokens.shape[1]);
        var x = embedding[tokens];
        if (positions is not null)
        {
            x = x + positions.narrow(0, past, count);
        }

        (Tensor, Tensor)? turn = rotary is { } table ? (table.Cos.narrow(0, past, count), table.Sin.narrow(0, past, count)) : null;
        for (var layer = 0; layer < blocks.Length; layer++)
        {
            using var inner = NewDisposeScope();
            var block = blocks[layer];
            x = x + Attention(block, block.AttentionNorm.Of(x), turn, cache, layer);
            x = (x + Mlp(block, block.MlpNorm.Of(x))).MoveToOuterDisposeScope();
        }

        return linear(finalNorm.Of(x), embedding).MoveToOuterDisposeScope();
    }

    /// <summary>The most likely next tokens, one after the other.</summary>
    public long[] Generate(long[] prompt, int count)
    {
        using var scope = NewDisposeScope();
        using var cache = new Cache(blocks.Length);
        var result = new long[count];
        var tokens = tensor(prompt).unsqueeze(0);
        for (var i = 0; i < count; i++)
        {
            using var logits = Forward(tokens, cache);
            result[i] = logits[0, -1].argmax().item<long>();
            tokens = tensor(new[] { result[i] }).unsqueeze(0);
        }

        return result;
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose() => owned.ForEach(weight => weight.Dispose());

    // [position, d_head], the frequencies twice.
    private static (Tensor Cos, Tensor Sin) Table(Rotary rotary, long positions)
    {
        var frequencies = tensor(Enumerable.Range(0, rotary.Dimensions / 2).Select(rotary.Frequency).ToArray());
        var angles = arange(positions, ScalarType.Float64).outer(cat([frequencies, frequencies]));
        return (angles.cos().to(float32), angles.sin().to(float32));
    }

    private Tensor Attention(Block block, Tensor x, (Tensor Cos, Tensor Sin)? turn, Cache? cache, int layer)
    {
        var (batch, count, width) = (x.shape[0], x.shape[1], x.shape[2] / heads);
        var parts = block.QueryKeyValue.Of(x).view(batch, count, -1, width).transpose(1, 2).split([heads, keyHeads, keyHeads], 1);
        var (q, k, v) = (parts[0], parts[1], parts[2]);
        if (turn is { } by)
        {
            (q, k) = (Rotate(q, by), Rotate(k, by));
        }

        if (cache is not null)
        {
            (k, v) = cache.Extend(layer, k, v);
        }

        if (keyHeads < heads)
        {
            (k, v) = (k.repeat_interleave(heads / keyHeads, 1), v.repeat_interleave(heads / keyHeads, 1));
        }

        var z = scaled_dot_product_attention(q, k, v, is_casual: count > 1);
        return block.Output.Of(z.transpose(1, 2).reshape(batch, count, -1));
    }

    private static Tensor Mlp(Block block, Tensor x) => block.Gate is { } gate
        ? block.Down.Of(silu(gate.Of(x)) * block.Up.Of(x))
        : block.Down.Of(gelu(block.Up.Of(x), TorchSharp.Modules.GELU.Approximate.tanh));

    private static Tensor Rotate(Tensor x, (Tensor Cos, Tensor Sin) by)
    {
        var halves = x.chunk(2, -1);
        return (x * by.Cos) + (cat([-halves[1], halves[0]], -1) * by.Sin);
    }

    /// <summary>A matrix, [out, in], and its bias.</summary>
    public sealed record Affine(Tensor Weight, Tensor? Bias)
    {
        public Tensor Of(Tensor x) => linear(x, Weight, Bias);
    }

    /// <summary>LayerNorm, or RMSNorm where there is no shift.</summary>
    public sealed record Norm(Tensor Gain, Tensor? Shift, double Epsilon)
    {
        public Tensor Of(Tensor x) => Shift is null
            ? x * rsqrt((x * x).mean([-1], keepdim: true) + Epsilon) * Gain
            : layer_norm(x, [x.shape[^1]], Gain, Shift, Epsilon);
    }

    /// <summary>The weights of a layer; <paramref name="Gate"/> is null where the MLP has two matrices and GELU.</summary>
    public sealed record Block(Norm AttentionNorm, Affine QueryKeyValue, Affine Output, Norm MlpNorm, Affine? Gate, Affine Up, Affine Down);

    /// <summary>Keys and values of earlier positions, [batch, key head, position, d_head] for each layer.</summary>
    public sealed class Cache(int layers) : IDisposable
    {
        private readonly (Tensor Keys, Tensor Values)?[] kept = new (Tensor, Tensor)?[layers];

        public long Length => kept[^1]?.Keys.shape[2] ?? 0;

        public (Tensor Keys, Tensor Values) Extend(int layer, Tensor keys, Tensor values)
        {
            if (kept[layer] is { } past)
            {
                (keys, values) = (cat([past.Keys, keys], 2), cat([past.Values, values], 2));
                past.Keys.Dispose();
                past.Values.Dispose();
            }

            kept[layer] = (keys.DetachFromDisposeScope(), values.DetachFromDisposeScope());
            return (keys, values);
        }

        public void Dispose()
        {
            foreach (var layer in kept)
            {
                layer?.Keys.Dispose();
                layer?.Values.Dispose();
            }
        }
    }
}
