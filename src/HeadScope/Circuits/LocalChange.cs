using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// Changes what single heads of one layer read, and nothing else. Keys and values may be shared by a group of heads, so they are not
/// touched: scores are corrected by Δq·k + q·Δk + Δq·Δk, and mixed values by pattern × Δv, which is the same for the head.
/// </summary>
internal sealed class LocalChange
{
    private readonly Model model;
    private readonly int layer;
    private readonly Dictionary<(int Prompt, Head Head, int Position), (float[] Query, float[] Key, float[] Value)> changes = [];
    private float[] queries = [];
    private float[] keys = [];
    private float[] pattern = [];

    public LocalChange(
        Model model, int layer, IEnumerable<(SignalChange Change, SignalEdge Edge)> parts, InterventionOptions options)
    {
        this.model = model;
        this.layer = layer;
        foreach (var (change, edge) in parts)
        {
            var key = (change.Prompt, edge.Receiver, change.Position);
            if (!changes.TryGetValue(key, out var sum))
            {
                var e = model.Config.HeadWidth;
                changes[key] = sum = (new float[e], new float[e], new float[e]);
            }

            var head = edge.Receiver;
            if (options.WithValues || edge.Side == SignalSide.Destination)
            {
                Add(model.QueryWeight(head), model.QueryBias(head), change, sum.Query, rotate: true);
            }

            if (options.WithValues || edge.Side == SignalSide.Source)
            {
                Add(model.KeyWeight(head), model.KeyBias(head), change, sum.Key, rotate: true);
            }

            if (options.WithValues)
            {
                Add(model.ValueWeight(head), model.ValueBias(head), change, sum.Value, rotate: false);
            }
        }
    }

    public void AddTo(Hooks hooks)
    {
        var rotated = model.Config.Rotary is null ? "" : "rot_";
        hooks.EditNumbers($"blocks.{layer}.attn.hook_{rotated}q", context => queries = context.Values.ToArray());
        hooks.EditNumbers($"blocks.{layer}.attn.hook_{rotated}k", context => keys = context.Values.ToArray());
        hooks.EditNumbers($"blocks.{layer}.attn.hook_attn_scores", ChangeScores);
        hooks.EditNumbers($"blocks.{layer}.attn.hook_pattern", context => pattern = context.Values.ToArray());
        hooks.EditNumbers($"blocks.{layer}.attn.hook_z", ChangeMixed);
    }

    private void Add(ReadOnlyMatrix weight, ReadOnlySpan<float> bias, SignalChange change, float[] sum, bool rotate)
    {
        var added = new float[sum.Length];
        MatrixProduct.Multiply(new ReadOnlyMatrix(change.Vector, 1, change.Vector.Length), weight, new Matrix(added, 1, added.Length));
        if (!bias.IsEmpty)
        {
            TensorPrimitives.MultiplyAdd(bias, change.Constant, added, added);
        }

        if (rotate && model.Config.Rotary is { } rotary)
        {
            rotary.Rotate(added, added.Length, change.Position);
        }

        TensorPrimitives.Add(sum, added, sum);
    }

    private void ChangeScores(ActivationNumbers context)
    {
        var config = model.Config;
        var length = (int)context.Shape[2];
        var factor = (float)(1 / Math.Sqrt(config.HeadWidth));
        foreach (var ((prompt, head, position), change) in changes)
        {
            for (var j = 0; j <= position; j++)
            {
                context.At(prompt, head.Index, position)[j] += factor * TensorPrimitives.Dot<float>(change.Query, Key(j));
            }

            for (var i = position; i < context.Lengths[prompt]; i++)
            {
                context.At(prompt, head.Index, i)[position] += factor * TensorPrimitives.Dot<float>(Query(i), change.Key);
            }

            foreach (var ((otherPrompt, otherHead, source), other) in changes)
            {
                if (otherPrompt == prompt && otherHead == head && source <= position)
                {
                    context.At(prompt, head.Index, position)[source] += factor * TensorPrimitives.Dot<float>(change.Query, other.Key);
                }
            }

            ReadOnlySpan<float> Query(int i) =>
                queries.AsSpan(((((prompt * length) + i) * config.HeadCount) + head.Index) * config.HeadWidth, config.HeadWidth);

            ReadOnlySpan<float> Key(int j) => keys.AsSpan(
                ((((prompt * length) + j) * config.KeyValueHeadCount) + (head.Index / config.GroupSize)) * config.HeadWidth, config.HeadWidth);
        }
    }

    private void ChangeMixed(ActivationNumbers context)
    {
        var length = (int)context.Shape[1];
        foreach (var ((prompt, head, position), change) in changes)
        {
            for (var i = position; i < context.Lengths[prompt]; i++)
            {
                var attention = pattern[(((((prompt * model.Config.HeadCount) + head.Index) * length) + i) * length) + position];
                var mixed = context.At(prompt, i, head.Index);
                TensorPrimitives.MultiplyAdd(change.Value, attention, mixed, mixed);
            }
        }
    }
}
