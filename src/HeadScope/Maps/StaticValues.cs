using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// What heads take from source tokens by the parameters alone: mlp0(E[source]) W_V; at layer 0, or without the first MLP,
/// E[source] W_V (arXiv 2412.11965, section 3.1 and appendix A).
/// </summary>
internal sealed class StaticValues
{
    private readonly Model model;
    private readonly float[] embeddings;
    private readonly float[] throughMlp;
    private readonly int count;

    /// <exception cref="InvalidDataException">An embedding or the first MLP holds a NaN.</exception>
    public StaticValues(Model model, int[] sources, bool firstMlp)
    {
        this.model = model;
        count = sources.Length;
        var width = model.Config.ModelWidth;
        embeddings = new float[sources.Length * width];
        model.ReadEmbedding(sources, embeddings);
        RequireFinite(embeddings, at => $"The embedding W_E of token {sources[at / width]}");
        throughMlp = embeddings;
        if (firstMlp && model.Config.LayerCount > 1)
        {
            throughMlp = new float[embeddings.Length];
            model.ApplyFirstMlp(new(embeddings, count, width), new(throughMlp, count, width));
            RequireFinite(throughMlp, at => $"What the first MLP (blocks.0.ln2, blocks.0.mlp) makes of token {sources[at / width]}");
        }
    }

    /// <summary>The values of a head, for <see cref="HeadScoring"/>.</summary>
    public void Fill(Head head, int firstPair, Matrix values)
    {
        var u = new ReadOnlyMatrix(head.Layer == 0 ? embeddings : throughMlp, count, model.Config.ModelWidth);
        MatrixProduct.Multiply(u.SliceRows(firstPair, values.Rows), model.ValueWeight(head), values);
        RequireFinite(values.Values, _ => $"W_V of head {head}");
    }

    /// <summary>Throws when a number is none.</summary>
    /// <exception cref="InvalidDataException">There is a NaN or an infinity.</exception>
    public static void RequireFinite(ReadOnlySpan<float> values, Func<int, string> what)
    {
        if (float.IsFinite(TensorPrimitives.SumOfMagnitudes(values)))
        {
            return;
        }

        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new InvalidDataException($"{what(i)} holds a NaN or an infinity: the weights are damaged.");
            }
        }
    }
}
