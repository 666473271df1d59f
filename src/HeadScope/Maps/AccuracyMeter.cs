using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// The share of prompts that a model answers with their target, with some heads ablated at the last position. What is before the last
/// position does not change, so its keys and values are computed once, and each ablation runs the last token alone.
/// </summary>
internal sealed class AccuracyMeter
{
    private readonly Model model;
    private readonly Batch[] batches;
    private readonly int prompts;
    private readonly float[][]? means;

    public AccuracyMeter(
        Model model, Prompts prompts, int[] targets, int batchSize, AblationKind kind, CancellationToken cancellationToken)
    {
        this.model = model;
        this.prompts = targets.Length;

        // Prompts of one length together, so that no prefix is empty while another is not.
        batches = [.. Enumerable.Range(0, targets.Length)
            .GroupBy(i => prompts.Tokens[i].Length)
            .SelectMany(group => group.Chunk(batchSize))
            .Select(chunk => new Batch(model, [.. chunk.Select(i => prompts.Tokens[i])], [.. chunk.Select(i => targets[i])], cancellationToken))];
        means = kind == AblationKind.Mean ? MeanOutputs(cancellationToken) : null;
    }

    /// <summary>The accuracies after the first 0, 1, 2, … of the heads are ablated.</summary>
    public AblationRun Ablate(IReadOnlyList<Head> heads, Action? stateDone, CancellationToken cancellationToken)
    {
        var accuracies = new float[heads.Count + 1];
        for (var count = 0; count <= heads.Count; count++)
        {
            accuracies[count] = Accuracy([.. heads.Take(count)], cancellationToken);
            stateDone?.Invoke();
        }

        return new AblationRun(heads, accuracies);
    }

    /// <summary>The accuracy with these heads ablated.</summary>
    public float Accuracy(IReadOnlyList<Head> ablated, CancellationToken cancellationToken)
    {
        var hooks = new Hooks();
        foreach (var layer in ablated.GroupBy(h => h.Layer))
        {
            hooks.EditNumbers($"blocks.{layer.Key}.attn.hook_z", z =>
            {
                for (var prompt = 0; prompt < z.Lengths.Count; prompt++)
                {
                    foreach (var head in layer)
                    {
                        var output = z.At(prompt, z.Lengths[prompt] - 1, head.Index);
                        if (means is null)
                        {
                            output.Clear();
                        }
                        else
                        {
                            means[head.Layer].AsSpan(head.Index * output.Length, output.Length).CopyTo(output);
                        }
                    }
                }
            });
        }

        return batches.Sum(batch => batch.Right(hooks, cancellationToken)) / (float)prompts;
    }

    private float[][] MeanOutputs(CancellationToken cancellationToken)
    {
        var config = model.Config;
        var sums = Enumerable.Range(0, config.LayerCount).Select(_ => new double[config.HeadCount * config.HeadWidth]).ToArray();
        var hook = new Hooks().EditNumbers("blocks.*.attn.hook_z", z =>
        {
            var sum = sums[z.Layer!.Value];
            for (var prompt = 0; prompt < z.Lengths.Count; prompt++)
            {
                var outputs = z.At(prompt, z.Lengths[prompt] - 1);
                for (var i = 0; i < outputs.Length; i++)
                {
                    sum[i] += outputs[i];
                }
            }
        });
        foreach (var batch in batches)
        {
            batch.Right(hook, cancellationToken);
        }

        return [.. sums.Select(sum => sum.Select(x => (float)(x / prompts)).ToArray())];
    }

    private sealed class Batch
    {
        private readonly Model model;
        private readonly KeyValueCache cache;
        private readonly int[][] lastTokens;
        private readonly int[] targets;

        public Batch(Model model, int[][] tokens, int[] targets, CancellationToken cancellationToken)
        {
            this.model = model;
            this.targets = targets;
            cache = new KeyValueCache(model, tokens.Length);
            lastTokens = [.. tokens.Select(t => t[^1..])];
            if (tokens[0].Length > 1)
            {
                model.Run([.. tokens.Select(t => t[..^1])], logits: LogitsOf.None, cache: cache, cancellationToken: cancellationToken).Dispose();
            }
        }

        public int Right(Hooks hooks, CancellationToken cancellationToken)
        {
            var pass = model.Run(lastTokens, hooks, LogitsOf.LastPosition, cache, cancellationToken: cancellationToken);
            cache.RemoveLast(1);
            var logits = pass.TakeLogits().AsFlatSpan();
            var vocabulary = logits.Length / targets.Length;
            var right = 0;
            for (var i = 0; i < targets.Length; i++)
            {
                right += TensorPrimitives.IndexOfMax<float>(logits.Slice(i * vocabulary, vocabulary)) == targets[i] ? 1 : 0;
            }

            return right;
        }
    }
}
