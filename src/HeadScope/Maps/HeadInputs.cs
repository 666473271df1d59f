namespace HeadScope;

/// <summary>
/// What heads read and take by the parameters alone (arXiv 2412.11965, section 3.1 and appendix A): u = mlp0(E[s]) or E[s], and u W_V.
/// In fp32 at least, on the model's device, without biases.
/// </summary>
internal static class HeadInputs
{
    /// <summary>The type of all numbers here: fp32, or fp64 where the model's are.</summary>
    public static ScalarType Wide(Model model) => model.Dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;

    /// <summary>The embeddings of tokens, [token, d_model], through the first MLP and the norm before it where that is asked for.</summary>
    /// <exception cref="InvalidDataException">An embedding or the first MLP holds a NaN; the message names the token.</exception>
    public static Tensor Of(Model model, long[] tokens, bool firstMlp)
    {
        using var scope = NewDisposeScope();
        var u = model.Net.Embedding.Pick(tokens);
        RequireFinite(u, i => $"The embedding W_E of token {tokens[i]}");
        if (firstMlp)
        {
            var first = model.Net.Blocks[0];
            u = first.Mlp.Forward(first.Ln2.Forward(u, default), default);
            RequireFinite(u, i => $"What the first MLP (blocks.0.ln2, blocks.0.mlp) makes of token {tokens[i]}");
        }

        return u.to(Wide(model)).MoveToOuterDisposeScope();
    }

    /// <summary>u W_V of a layer's key/value heads, [key head, token, d_head].</summary>
    public static Tensor Values(Model model, int layer, Tensor u)
    {
        using var scope = NewDisposeScope();
        var weight = model.Net.Blocks[layer].Attention.Value.Transposed().to(Wide(model));
        return u.matmul(weight).unflatten(1, model.Config.KeyValueHeadCount, model.Config.HeadWidth).transpose(0, 1).MoveToOuterDisposeScope();
    }

    /// <summary>What is wrong with the weights of a head whose output is no number.</summary>
    public static InvalidDataException Damaged(Model model, Head head)
    {
        using var scope = NewDisposeScope();
        var attention = model.Net.Blocks[head.Layer].Attention;
        bool IsSound(Tensor weight, int part) => weight[part].isfinite().all().cpu().item<bool>();
        var place = !IsSound(attention.W_V, head.Index / model.Config.GroupSize) ? $"W_V of head {head}"
            : !IsSound(attention.W_O, head.Index) ? $"W_O of head {head}"
            : $"What head {head} writes";
        return new($"{place} holds a NaN or an infinity: the weights are damaged.");
    }

    /// <summary>Refuses rows of weights with a number that is not finite; the message says what they are.</summary>
    public static void RequireFinite(Tensor rows, Func<long, string> what)
    {
        var finite = rows.isfinite().all(1);
        if (!finite.all().cpu().item<bool>())
        {
            throw new InvalidDataException($"{what(finite.logical_not().nonzero()[0, 0].cpu().item<long>())} holds a NaN or an infinity: the weights are damaged.");
        }
    }
}
