using System.Numerics.Tensors;
using TorchSharp;

namespace HeadScope;

/// <summary>What heads add directly to the logit difference between answer and distractor at the last token.</summary>
public static class DirectEffect
{
    /// <summary>The mean direct effect of every head: its output at the last token, divided by the final norm's scale, times the
    /// difference of the two tokens' unembeddings.</summary>
    /// <param name="model">The model, folded (see <see cref="CircuitModel"/>).</param>
    /// <param name="prompts">The prompts; each needs an answer and a distractor.</param>
    /// <param name="batchSize">How many prompts run at once.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>[layer, head], in logits.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or one has no answer or no distractor.</exception>
    public static torch.Tensor OfHeads(
        Model model, PromptSet prompts, int batchSize = 32, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        return torch.tensor(Means(model, prompts, batchSize, cancellationToken), [model.Config.LayerCount, model.Config.HeadCount]);
    }

    /// <summary>The heads above the first layer with the greatest mean direct effect, greatest first.</summary>
    internal static IReadOnlyList<Head> Strongest(
        Model model, PromptSet prompts, int count, int batchSize, CancellationToken cancellationToken)
    {
        var effects = Means(model, prompts, batchSize, cancellationToken);
        return [.. model.Heads.Where(h => h.Layer > 0).OrderByDescending(h => effects[(h.Layer * model.Config.HeadCount) + h.Index]).ThenBy(h => h).Take(count)];
    }

    private static float[] Means(Model model, PromptSet prompts, int batchSize, CancellationToken cancellationToken)
    {
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var config = model.Config;
        var sums = new double[config.LayerCount * config.HeadCount];
        var difference = new float[config.ModelWidth];
        var read = new float[config.HeadWidth];
        foreach (var batch in prompts.Prompts.Chunk(batchSize))
        {
            var hooks = new Hooks().Keep("blocks.*.attn.hook_z", "ln_final.hook_scale");
            using var pass = model.Run([.. batch.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.None, cancellationToken: cancellationToken);
            var scales = pass.Take("ln_final.hook_scale");
            var outputs = Enumerable.Range(0, config.LayerCount).Select(layer => pass.Take($"blocks.{layer}.attn.hook_z")).ToArray();
            var length = (int)scales.Lengths[1];
            for (var p = 0; p < batch.Length; p++)
            {
                if (batch[p] is not { Answer: { } answer, Distractor: { } distractor })
                {
                    throw new ArgumentException(
                        $"The prompts of '{prompts.Name}' have no answer and distractor to choose roots by; name the roots in the options.");
                }

                UnembeddingDifference(model, answer, distractor, difference);
                var row = (p * length) + batch[p].Tokens.Count - 1;
                var scale = scales.AsFlatSpan()[row];
                foreach (var head in model.Heads)
                {
                    var z = outputs[head.Layer].AsFlatSpan()
                        .Slice(((row * config.HeadCount) + head.Index) * config.HeadWidth, config.HeadWidth);
                    MatrixProduct.Multiply(
                        model.OutputWeight(head), new ReadOnlyMatrix(difference, config.ModelWidth, 1), new Matrix(read, read.Length, 1));
                    sums[(head.Layer * config.HeadCount) + head.Index] += TensorPrimitives.Dot(z, read) / scale;
                }
            }
        }

        return [.. sums.Select(s => (float)(s / prompts.Count))];
    }

    private static void UnembeddingDifference(Model model, int answer, int distractor, float[] difference)
    {
        var other = new float[difference.Length];
        model.ReadUnembedding(answer, 1, difference);
        model.ReadUnembedding(distractor, 1, other);
        TensorPrimitives.Subtract<float>(difference, other, difference);
    }
}
