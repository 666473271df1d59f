namespace HeadScope;

/// <summary>The attention of a layer. Query head h reads key/value head h / (heads / key heads).</summary>
public sealed class Attention
{
    private readonly TransformerConfig config;
    private readonly int heads;
    private readonly int keyHeads;
    private readonly int headWidth;

    internal Attention(Linear query, Linear key, Linear value, Linear output, TransformerConfig config)
    {
        (Query, Key, Value, Output, Rotary) = (query, key, value, output, config.Rotary);
        this.config = config;
        (heads, keyHeads, headWidth) = (config.HeadCount, config.KeyValueHeadCount, config.HeadWidth);
    }

    /// <summary>[head, d_model, d_head].</summary>
    public Tensor W_Q => Query.ByHead(heads, ofOutputs: true);

    /// <summary>[key head, d_model, d_head].</summary>
    public Tensor W_K => Key.ByHead(keyHeads, ofOutputs: true);

    /// <summary>[key head, d_model, d_head].</summary>
    public Tensor W_V => Value.ByHead(keyHeads, ofOutputs: true);

    /// <summary>[head, d_head, d_model].</summary>
    public Tensor W_O => Output.ByHead(heads, ofOutputs: false);

    /// <summary>[head, d_head]; null for none.</summary>
    public Tensor? b_Q => Split(Query.Bias, heads);

    /// <summary>[key head, d_head]; null for none.</summary>
    public Tensor? b_K => Split(Key.Bias, keyHeads);

    /// <summary>[key head, d_head]; null for none.</summary>
    public Tensor? b_V => Split(Value.Bias, keyHeads);

    /// <summary>[d_model]; null for none.</summary>
    public Tensor? b_O => Output.Bias?.Fresh();

    internal Linear Query { get; }

    internal Linear Key { get; }

    internal Linear Value { get; }

    internal Linear Output { get; }

    internal Rotary? Rotary { get; }

    /// <summary>The same attention but for the maps that are given.</summary>
    internal Attention With(Linear? query = null, Linear? key = null, Linear? value = null, Linear? output = null) =>
        new(query ?? Query, key ?? Key, value ?? Value, output ?? Output, config);

    /// <summary>What the layer adds to the residual stream, [batch, position, d_model].</summary>
    /// <param name="x">The normalised residual stream, [batch, position, d_model].</param>
    /// <param name="at">Where hooks look.</param>
    internal Tensor Forward(Tensor x, HookPlace at)
    {
        using var scope = NewDisposeScope();
        var q = at.Visit("hook_q", Heads(Query.Forward(x), heads));
        var k = at.Visit("hook_k", Heads(Key.Forward(x), keyHeads));
        var v = at.Visit("hook_v", Heads(Value.Forward(x), keyHeads));
        if (Rotary is not null)
        {
            var angles = at.Run.Angles(Rotary);
            q = at.Visit("hook_rot_q", angles.Turn(q));
            k = at.Visit("hook_rot_k", angles.Turn(k));
        }

        // [batch, head, position, d_head] from here on.
        (q, k, v) = (q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2));
        if (at.Run.Cache is { } cache)
        {
            (k, v) = cache.Append(at.Layer, k, v, at.Run);
        }

        var watched = at.Watches("hook_attn_scores") || at.Watches("hook_pattern");
        var z = at.Visit("hook_z", watched ? Mix(q, k, v, at) : MixAtOnce(q, k, v, at.Run));
        if (!at.Watches("hook_result"))
        {
            return Output.Forward(z.flatten(2)).MoveToOuterDisposeScope();
        }

        // [batch, position, head, d_model]. Head by head: a product over positions would first copy W_O for each of them.
        var byHead = z.flatten(0, 1).transpose(0, 1).matmul(W_O).transpose(0, 1).unflatten(0, z.shape[0], z.shape[1]);
        var result = at.Visit("hook_result", byHead).sum(2);
        return (Output.Bias is { } bias ? result.add_(bias.Value, Scalars.One) : result).MoveToOuterDisposeScope();
    }

    private static Tensor? Split(Parameter? bias, int heads)
    {
        using var scope = NewDisposeScope();
        return bias?.Fresh().unflatten(0, heads, bias.Length / heads).MoveToOuterDisposeScope();
    }

    private Tensor Heads(Tensor x, int count) => x.unflatten(2, count, headWidth);

    // scores → pattern → z, each where a hook can see it. [batch, position, head, d_head].
    private Tensor Mix(Tensor q, Tensor k, Tensor v, HookPlace at)
    {
        var scores = q.matmul(ForEachQueryHead(k).transpose(-2, -1)).mul_(Scalars.Of(1 / Math.Sqrt(headWidth)));
        if (at.Run.Hidden is { } hidden)
        {
            scores = scores.masked_fill_(hidden, Scalars.MinusInfinity);
        }

        scores = at.Visit("hook_attn_scores", scores);
        var pattern = scores.element_size() < 4 ? scores.softmax(-1, float32).to(scores.dtype) : scores.softmax(-1);
        return at.Visit("hook_pattern", pattern).matmul(ForEachQueryHead(v)).transpose(1, 2).contiguous();
    }

    // The same by torch's fused kernel, which never holds all scores. [batch, position, head, d_head].
    private Tensor MixAtOnce(Tensor q, Tensor k, Tensor v, ForwardRun run)
    {
        if (run.SeesAll)
        {
            // One query sees all keys: the heads of a group are as good as positions, and keys need not be repeated.
            var grouped = q.reshape(q.shape[0], keyHeads, heads / keyHeads, headWidth);
            return nn.functional.scaled_dot_product_attention(grouped, k, v).reshape(q.shape[0], 1, heads, headWidth);
        }

        var z = nn.functional.scaled_dot_product_attention(
            q, ForEachQueryHead(k), ForEachQueryHead(v), run.IsCausal ? null : run.Visible, is_casual: run.IsCausal);
        return z.transpose(1, 2).contiguous();
    }

    private Tensor ForEachQueryHead(Tensor x) => keyHeads == heads ? x : x.repeat_interleave(heads / keyHeads, 1);
}
