namespace HeadScope;

/// <summary>
/// The H heads of the attention layer that a Lorsa stands in for, as they act on what the Lorsa reads: for <c>ln1.hook_normalized</c> the gain
/// and shift of the norm are folded in. Weights are [H, d, d_head], that of the output [H, d_head, d], biases [H, d_head]; value and output are
/// null where only queries and keys are given.
/// </summary>
internal sealed record OriginalAttention(Tensor Query, Tensor Key, Tensor? Value, Tensor? Output, Tensor QueryBias, Tensor KeyBias)
{
    public int Heads => (int)Query.shape[0];

    public int HeadWidth => (int)Query.shape[2];

    /// <summary>Reads a layer. The tensors live in the caller's dispose scope, fp32, on the model's device.</summary>
    public static OriginalAttention Of(Model model, LorsaConfig config)
    {
        config.RequireLayerOf(model);
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var (block, heads) = (model.Net.Blocks[config.Layer], model.Config.HeadCount);
        var norm = config.HookIn.EndsWith("hook_normalized", StringComparison.Ordinal) ? block.Ln1 : null;
        var (gain, shift) = (norm?.w?.to(float32), norm?.b?.to(float32));
        var (query, queryBias) = Fold(block.Attention.W_Q, block.Attention.b_Q);
        var (key, keyBias) = Fold(block.Attention.W_K, block.Attention.b_K);
        var (value, _) = Fold(block.Attention.W_V, null);
        return new(query, key, value, scope.MoveToOuter(block.Attention.W_O.to(float32)), queryBias, keyBias);

        // For each query head. x̂ gain W + shift W + bias: what the norm multiplies goes into the weight, what it adds into the bias.
        (Tensor Weight, Tensor Bias) Fold(Tensor stored, Tensor? bias)
        {
            var weight = stored.to(float32).repeat_interleave(heads / stored.shape[0], 0);
            var folded = bias is null
                ? zeros(heads, model.Config.HeadWidth, float32, weight.device)
                : bias.to(float32).repeat_interleave(heads / bias.shape[0], 0);
            folded = shift is null ? folded : folded.add(shift.matmul(weight), Scalars.One);
            return (scope.MoveToOuter(gain is null ? weight : weight.mul(gain.unsqueeze(1))), scope.MoveToOuter(folded));
        }
    }
}
