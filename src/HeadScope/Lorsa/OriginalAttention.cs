namespace HeadScope;

/// <summary>
/// The heads of the attention layer that a Lorsa stands in for, as they act on what the Lorsa reads: for <c>ln1.hook_normalized</c> the gain and
/// shift of the norm are folded in.
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
    public static OriginalAttention Of(Model model, LorsaConfig config)
    {
        var layer = config.Layer;
        if (layer < 0 || layer >= model.Config.LayerCount || model.Config.ModelWidth != config.ModelWidth)
        {
            throw new ArgumentException(
                $"A Lorsa of {config.HookOut} and width {config.ModelWidth} does not belong to '{model.Name}' with {model.Config.LayerCount} layers of "
                + $"width {model.Config.ModelWidth}.");
        }

        var norm = config.HookIn.EndsWith("hook_normalized", StringComparison.Ordinal) ? model.Net.Blocks[layer].Ln1 : null;
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
            Fold(norm, model.QueryWeight(head), model.QueryBias(head), original.Query.AsSpan(i * d * e), original.QueryBias.AsSpan(i * e));
            Fold(norm, model.KeyWeight(head), model.KeyBias(head), original.Key.AsSpan(i * d * e), original.KeyBias.AsSpan(i * e));
            Fold(norm, model.ValueWeight(head), [], original.Value.AsSpan(i * d * e), new float[e]);
            model.OutputWeight(head).CopyTo(original.Output.AsSpan(i * e * d, e * d));
        }

        return original;
    }

    public ReadOnlyMatrix ValueOf(int head, int d) => new(Value.AsSpan(head * d * HeadWidth), d, HeadWidth);

    public ReadOnlyMatrix OutputOf(int head, int d) => new(Output.AsSpan(head * d * HeadWidth), HeadWidth, d);

    private static void Fold(Norm? norm, ReadOnlyMatrix weight, ReadOnlySpan<float> bias, Span<float> folded, Span<float> foldedBias)
    {
        bias.CopyTo(foldedBias);
        var gain = norm is null ? [] : norm.GainOf();
        var shift = norm is null ? [] : norm.ShiftOf();
        for (var row = 0; row < weight.Rows; row++)
        {
            for (var column = 0; column < weight.Columns; column++)
            {
                var w = weight[row, column];
                folded[(row * weight.Columns) + column] = gain.IsEmpty ? w : w * gain[row];
                foldedBias[column] += shift.IsEmpty ? 0 : w * shift[row];
            }
        }
    }
}
