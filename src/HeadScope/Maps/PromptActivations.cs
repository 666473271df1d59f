namespace HeadScope;

/// <summary>
/// Of a clean run over prompts the two things that dynamic scores need: each head's output z at the last position, and the value vectors
/// at the source's position. z with all attention on the source would be exactly that value vector.
/// </summary>
internal sealed class PromptActivations
{
    private readonly Model model;

    // By layer: [prompt, head, d_head] and [prompt, key-value head, d_head].
    private readonly float[][] outputs;
    private readonly float[][] sourceValues;

    private PromptActivations(Model model, int prompts)
    {
        var config = model.Config;
        this.model = model;
        outputs = [.. Enumerable.Range(0, config.LayerCount).Select(_ => new float[prompts * config.HeadCount * config.HeadWidth])];
        sourceValues = [.. Enumerable.Range(0, config.LayerCount).Select(_ => new float[prompts * config.KeyValueHeadCount * config.HeadWidth])];
    }

    /// <summary>Runs the prompts, some at a time.</summary>
    public static PromptActivations Of(
        Model model, Prompts prompts, int batchSize, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var found = new PromptActivations(model, prompts.Tokens.Count);
        for (var first = 0; first < prompts.Tokens.Count; first += batchSize)
        {
            int[][] batch = [.. prompts.Tokens.Skip(first).Take(batchSize)];
            var begin = first;
            model.Run(
                batch,
                new Hooks()
                    .EditNumbers("blocks.*.attn.hook_z", z => Keep(z, found.outputs, begin, i => batch[i].Length - 1))
                    .EditNumbers("blocks.*.attn.hook_v", v => Keep(v, found.sourceValues, begin, i => prompts.SourcePositions[begin + i])),
                LogitsOf.None,
                cancellationToken: cancellationToken);
            progress?.Report(new WorkProgress($"running '{prompts.Template}'", first + batch.Length, prompts.Tokens.Count, "prompts"));
        }

        return found;
    }

    /// <summary>The heads' outputs at the last position, for <see cref="HeadScoring"/>.</summary>
    public void Outputs(Head head, int firstPrompt, Matrix values) => Fill(outputs, model.Config.HeadCount, head.Layer, head.Index, firstPrompt, values);

    /// <summary>The heads' values at the source's position, for <see cref="HeadScoring"/>.</summary>
    public void SourceValues(Head head, int firstPrompt, Matrix values)
    {
        var groups = model.Config.KeyValueHeadCount;
        Fill(sourceValues, groups, head.Layer, head.Index / (model.Config.HeadCount / groups), firstPrompt, values);
    }

    private static void Keep(ActivationNumbers activation, float[][] store, int first, Func<int, int> position)
    {
        for (var i = 0; i < activation.Lengths.Count; i++)
        {
            var row = activation.At(i, position(i));
            row.CopyTo(store[activation.Layer!.Value].AsSpan((first + i) * row.Length));
        }
    }

    private static void Fill(float[][] store, int heads, int layer, int head, int firstPrompt, Matrix values)
    {
        for (var i = 0; i < values.Rows; i++)
        {
            store[layer].AsSpan((((firstPrompt + i) * heads) + head) * values.Columns, values.Columns).CopyTo(values.Row(i));
        }
    }
}
