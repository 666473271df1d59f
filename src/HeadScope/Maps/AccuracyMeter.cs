namespace HeadScope;

/// <summary>
/// The share of prompts that a model answers with their target, with some heads ablated at the last position. What is before the last
/// position does not change, so its keys and values are computed once, and each ablation runs the last token alone.
/// </summary>
internal sealed class AccuracyMeter : IDisposable
{
    private readonly Model model;
    private readonly List<(KeyValueCache Past, int[][] LastTokens, long[] Targets)> batches = [];
    private readonly int prompts;
    private readonly Tensor?[] means;

    // An ablated head writes its mean over the prompts, or zeros.
    public AccuracyMeter(Model model, Prompts prompts, IReadOnlyList<int> targets, int batchSize, bool mean, CancellationToken cancellationToken)
    {
        this.model = model;
        this.prompts = targets.Count;

        // Prompts of one length together, so that no prefix is empty while another is not.
        foreach (var batch in Enumerable.Range(0, targets.Count).GroupBy(i => prompts.Tokens[i].Length).SelectMany(group => group.Chunk(batchSize)))
        {
            var past = new KeyValueCache(model, batch.Length);
            batches.Add((past, [.. batch.Select(i => prompts.Tokens[i][^1..])], [.. batch.Select(i => (long)targets[i])]));
            if (prompts.Tokens[batch[0]].Length > 1)
            {
                model.Run([.. batch.Select(i => prompts.Tokens[i][..^1])], logits: LogitsOf.None, cache: past, cancellationToken: cancellationToken).Dispose();
            }
        }

        means = mean ? FindMeans(cancellationToken) : new Tensor?[model.Config.LayerCount];
    }

    /// <summary>The accuracies after the first 0, 1, 2, … of the heads are ablated.</summary>
    public float[] Ablate(IReadOnlyList<Head> heads, Action? stateDone, CancellationToken cancellationToken)
    {
        var accuracies = new float[heads.Count + 1];
        for (var count = 0; count <= heads.Count; count++, stateDone?.Invoke())
        {
            accuracies[count] = Accuracy([.. heads.Take(count)], cancellationToken);
        }

        return accuracies;
    }

    /// <summary>The accuracy with these heads ablated.</summary>
    public float Accuracy(IReadOnlyList<Head> ablated, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var hooks = new Hooks();
        foreach (var layer in ablated.GroupBy(h => h.Layer))
        {
            // [head, d_head] for z, [prompt, 1, head, d_head].
            var heads = tensor([.. layer.Select(h => (long)h.Index)], device: model.Device);
            var mean = means[layer.Key]?.index_select(0, heads) ?? zeros(heads.shape[0], model.Config.HeadWidth, model.Dtype, model.Device);
            hooks.Edit($"blocks.{layer.Key}.attn.hook_z", z => z.index_copy_(2, heads, mean.expand(z.shape[0], 1, -1, -1)));
        }

        return batches.Sum(batch =>
        {
            using var inBatch = NewDisposeScope();
            using var pass = Run(batch, hooks, LogitsOf.LastPosition, cancellationToken);
            return pass.Logits!.flatten(1).argmax(1).eq(tensor(batch.Targets, device: model.Device)).sum().cpu().item<long>();
        }) / (float)prompts;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        batches.ForEach(batch => batch.Past.Dispose());
        Array.ForEach(means, mean => mean?.Dispose());
    }

    private ForwardPass Run((KeyValueCache Past, int[][] LastTokens, long[] Targets) batch, Hooks hooks, LogitsOf logits, CancellationToken cancellationToken)
    {
        var pass = model.Run(batch.LastTokens, hooks, logits, batch.Past, cancellationToken: cancellationToken);
        batch.Past.RemoveLast(1);
        return pass;
    }

    // By layer the mean of z at the last position, [head, d_head].
    private Tensor[] FindMeans(CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var sums = new Tensor[model.Config.LayerCount];
        foreach (var batch in batches)
        {
            using var pass = Run(batch, new Hooks().Keep("blocks.*.attn.hook_z"), LogitsOf.None, cancellationToken);
            for (var layer = 0; layer < sums.Length; layer++)
            {
                var sum = pass[$"blocks.{layer}.attn.hook_z"].to(float64).sum([0, 1]);
                sums[layer] = sums[layer]?.add_(sum, Scalars.One) ?? sum;
            }
        }

        return Array.ConvertAll(sums, sum => sum.div(tensor((double)prompts, device: model.Device)).to(model.Dtype).DetachFromDisposeScope());
    }
}
