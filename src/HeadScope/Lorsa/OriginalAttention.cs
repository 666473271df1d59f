using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// The heads of the attention layer that a Lorsa stands in for, as they act on what the Lorsa reads: for <c>ln1.hook_normalized</c> the gain and
/// shift of the norm are folded in.
/// </summary>
internal sealed class OriginalAttention
{
    public required int Heads { get; init; }

    public required int HeadWidth { get; init; }

    /// <summary>W_Q, [H, d, d_head].</summary>
    public required Tensor Query { get; init; }

    /// <summary>W_K of each head, [H, d, d_head].</summary>
    public required Tensor Key { get; init; }

    /// <summary>W_V of each head, [H, d, d_head]; null where only queries and keys are given.</summary>
    public required Tensor? Value { get; init; }

    /// <summary>W_O, [H, d_head, d]; null likewise.</summary>
    public required Tensor? Output { get; init; }

    /// <summary>b_Q, [H, d_head].</summary>
    public required Tensor QueryBias { get; init; }

    /// <summary>b_K of each head, [H, d_head].</summary>
    public required Tensor KeyBias { get; init; }

    /// <summary>Reads a layer. The tensors live in the caller's dispose scope, fp32, on the model's device.</summary>
    /// <exception cref="ArgumentException">The Lorsa does not belong to the model.</exception>
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
        return new OriginalAttention
        {
            Heads = heads,
            HeadWidth = model.Config.HeadWidth,
            Query = query,
            Key = key,
            Value = value,
            Output = scope.MoveToOuter(block.Attention.W_O.to(float32)),
            QueryBias = queryBias,
            KeyBias = keyBias,
        };

        // For each query head. x̂ gain W + shift W + bias: what the norm multiplies goes into the weight, what it adds into the bias.
        (Tensor Weight, Tensor Bias) Fold(Tensor stored, Tensor? bias)
        {
            var weight = stored.to(float32).repeat_interleave(heads / stored.shape[0], 0);
            var folded = bias is null
                ? zeros(heads, model.Config.HeadWidth, device: weight.device)
                : bias.to(float32).repeat_interleave(heads / bias.shape[0], 0);
            folded = shift is null ? folded : folded.add(shift.matmul(weight), Scalars.One);
            return (scope.MoveToOuter(gain is null ? weight : weight.mul(gain.unsqueeze(1))), scope.MoveToOuter(folded));
        }
    }
}
