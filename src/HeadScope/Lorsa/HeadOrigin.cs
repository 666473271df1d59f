using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// Which of the model's own heads a Lorsa head comes from: the alignment <c>w_V W_V^h W_O^h w_O^T</c> with head h says how much of what h does to
/// inputs and outputs is what this head does. (A measure of our own; the published codes ship none.)
/// </summary>
/// <param name="Alignments">The alignment with every head of the layer, [H], in the units of the weights.</param>
public sealed record HeadOrigin(IReadOnlyList<double> Alignments)
{
    /// <summary>The share of every head: its positive alignment over the sum of the positive ones, [H].</summary>
    public IReadOnlyList<double> Shares
    {
        get
        {
            var sum = Alignments.Sum(a => Math.Max(a, 0));
            return [.. Alignments.Select(a => sum == 0 ? 0 : Math.Max(a, 0) / sum)];
        }
    }

    /// <summary>The head with the largest share.</summary>
    public int Main => Shares.Select((share, h) => (share, h)).MaxBy(pair => pair.share).h;

    /// <summary>How many heads make up a share: 1 for a head that was one head's, more for one that was spread over several.</summary>
    /// <param name="share">The share to reach.</param>
    /// <returns>The smallest number of heads.</returns>
    public int HeadsFor(double share = 0.9)
    {
        var (sum, count) = (0.0, 0);
        foreach (var part in Shares.OrderDescending())
        {
            if (sum >= share - 1e-12)
            {
                break;
            }

            sum += part;
            count++;
        }

        return count;
    }

    internal static HeadOrigin Of(Lorsa lorsa, Model model, int head)
    {
        var d = lorsa.Config.ModelWidth;
        var original = OriginalAttention.Of(model, lorsa.Config);
        var read = new ReadOnlyMatrix(lorsa.Parameters.ValueWeight.AsSpan(head * d, d), 1, d);
        var write = lorsa.Parameters.OutputWeight.AsSpan(head * d, d);
        var (inside, output) = (new float[original.HeadWidth], new float[d]);
        var alignments = new double[original.Heads];
        for (var h = 0; h < alignments.Length; h++)
        {
            MatrixProduct.Multiply(read, original.ValueOf(h, d), new(inside, 1, inside.Length));
            MatrixProduct.Multiply(new(inside, 1, inside.Length), original.OutputOf(h, d), new(output, 1, d));
            alignments[h] = TensorPrimitives.Dot<float>(output, write);
        }

        return new HeadOrigin(alignments);
    }
}
