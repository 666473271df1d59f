using HeadScope.Numerics;
using HeadScope.Transformers;

namespace HeadScope.Lorsa;

/// <summary>
/// The heads of the attention layer that a Lorsa stands in for, with the gain and shift of the norm before it folded in, so that they act
/// on <c>ln1.hook_normalized</c>.
/// </summary>
internal sealed class OriginalAttention
{
    public required int Heads { get; init; }

    /// <summary>W_Q, [H, d, d_head].</summary>
    public required float[] Query { get; init; }

    /// <summary>W_K of each head, [H, d, d_head].</summary>
    public required float[] Key { get; init; }

    /// <summary>W_V of each head, [H, d, d_head]; empty where only queries and keys are given.</summary>
    public required float[] Value { get; init; }

    /// <summary>W_O, [H, d_head, d]; empty likewise.</summary>
    public required float[] Output { get; init; }

    /// <summary>b_Q, [H, d_head].</summary>
    public required float[] QueryBias { get; init; }

    /// <summary>b_K of each head, [H, d_head].</summary>
    public required float[] KeyBias { get; init; }

    public required int HeadWidth { get; init; }

    /// <summary>Reads a layer.</summary>
    public static OriginalAttention Of(TransformerModel model, int layer)
    {
        var (h, d, e) = (model.Config.HeadCount, model.Config.ModelWidth, model.Config.HeadWidth);
        var original = new OriginalAttention
        {
            Heads = h,
            HeadWidth = e,
            Query = new float[h * d * e],
            Key = new float[h * d * e],
            Value = new float[h * d * e],
            Output = new float[h * e * d],
            QueryBias = new float[h * e],
            KeyBias = new float[h * e],
        };
        for (var i = 0; i < h; i++)
        {
            var head = new Head(layer, i);
            var norm = model.Blocks[layer].AttentionNorm;
            Fold(norm, model.QueryWeight(head), model.QueryBias(head), original.Query.AsSpan(i * d * e), original.QueryBias.AsSpan(i * e));
            Fold(norm, model.KeyWeight(head), model.KeyBias(head), original.Key.AsSpan(i * d * e), original.KeyBias.AsSpan(i * e));
            Fold(norm, model.ValueWeight(head), [], original.Value.AsSpan(i * d * e), new float[e]);
            model.OutputWeight(head).CopyTo(original.Output.AsSpan(i * e * d, e * d));
        }

        return original;
    }

    public ReadOnlyMatrix ValueOf(int head, int d) => new(Value.AsSpan(head * d * HeadWidth), d, HeadWidth);

    public ReadOnlyMatrix OutputOf(int head, int d) => new(Output.AsSpan(head * d * HeadWidth), HeadWidth, d);

    private static void Fold(Norm norm, ReadOnlyMatrix weight, ReadOnlySpan<float> bias, Span<float> folded, Span<float> foldedBias)
    {
        bias.CopyTo(foldedBias);
        for (var row = 0; row < weight.Rows; row++)
        {
            for (var column = 0; column < weight.Columns; column++)
            {
                var w = weight[row, column];
                folded[(row * weight.Columns) + column] = norm.Gain.IsEmpty ? w : w * norm.Gain[row];
                foldedBias[column] += norm.Shift.IsEmpty ? 0 : w * norm.Shift[row];
            }
        }
    }
}
