using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace HeadScope;

/// <summary>
/// How the three methods read a model while they stand on matrices of their own: weights and activations as numbers in managed memory,
/// fp32 on the CPU. Each method that moves onto tensors empties its share of this; a test lists who is left.
/// </summary>
internal static class Bridge
{
    private static readonly ConditionalWeakTable<Parameter, Dictionary<(long First, long Count), float[]>> Read = [];

    /// <summary>W_Q of a head, [d_model, d_head].</summary>
    public static ReadOnlyMatrix QueryWeight(this Model model, Head head) => Outputs(model.AttentionOf(head).Query, head.Index, model.Config.HeadCount);

    /// <summary>W_K of the key/value head that a head reads, [d_model, d_head].</summary>
    public static ReadOnlyMatrix KeyWeight(this Model model, Head head) => Outputs(model.AttentionOf(head).Key, KeyHead(model, head), model.Config.KeyValueHeadCount);

    /// <summary>W_V of the key/value head that a head reads, [d_model, d_head].</summary>
    public static ReadOnlyMatrix ValueWeight(this Model model, Head head) => Outputs(model.AttentionOf(head).Value, KeyHead(model, head), model.Config.KeyValueHeadCount);

    /// <summary>W_O of a head, [d_head, d_model].</summary>
    public static ReadOnlyMatrix OutputWeight(this Model model, Head head) =>
        Whole(model.AttentionOf(head).Output).SliceRows(head.Index * model.Config.HeadWidth, model.Config.HeadWidth);

    /// <summary>b_Q of a head, [d_head]; empty when there is none.</summary>
    public static ReadOnlySpan<float> QueryBias(this Model model, Head head) => Bias(model.AttentionOf(head).Query, head.Index, model);

    /// <summary>b_K of the key/value head that a head reads, [d_head]; empty when there is none.</summary>
    public static ReadOnlySpan<float> KeyBias(this Model model, Head head) => Bias(model.AttentionOf(head).Key, KeyHead(model, head), model);

    /// <summary>b_V of the key/value head that a head reads, [d_head]; empty when there is none.</summary>
    public static ReadOnlySpan<float> ValueBias(this Model model, Head head) => Bias(model.AttentionOf(head).Value, KeyHead(model, head), model);

    /// <summary>b_O of a layer, [d_model]; empty when there is none.</summary>
    public static ReadOnlySpan<float> OutputBias(this Model model, int layer) => Numbers(model.Net.Blocks[layer].Attention.Output.Bias);

    /// <summary>W_V of neighbouring channels of a layer's key/value heads, [d_model, count].</summary>
    public static ReadOnlyMatrix ValueWeights(this Model model, int layer, int first, int count) =>
        Whole(model.Net.Blocks[layer].Attention.Value).SliceColumns(first, count);

    /// <summary>The unembedding, [vocabulary, d_model].</summary>
    public static float[] UnembeddingNumbers(this Model model) => Numbers(model.Net.Unembedding.Weight);

    /// <summary>What a row is divided by: sqrt(variance + ε) or sqrt(mean square + ε).</summary>
    public static float ScaleOf(this Norm norm, ReadOnlySpan<float> x)
    {
        var squares = norm.Kind == NormKind.RmsNorm ? DoubleSums.SumOfSquares(x) : DoubleSums.SumOfSquaredDeviations(x, Center(norm, x));
        return (float)Math.Sqrt((squares / x.Length) + norm.Epsilon);
    }

    /// <summary>A row before gain and shift (<c>hook_normalized</c>).</summary>
    public static void Divide(this Norm norm, ReadOnlySpan<float> x, float scale, Span<float> y)
    {
        var mean = Center(norm, x);
        var factor = 1.0 / scale;
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = (float)((x[i] - mean) * factor);
        }
    }

    /// <summary>The gain, where there is one.</summary>
    public static void Amplify(this Norm norm, ReadOnlySpan<float> x, Span<float> y)
    {
        if (norm.Gain is null)
        {
            x.CopyTo(y);
        }
        else
        {
            TensorPrimitives.Multiply(x, norm.GainOf(), y);
        }
    }

    /// <summary>Gain and shift (<c>hook_out</c>).</summary>
    public static void Finish(this Norm norm, ReadOnlySpan<float> normalized, Span<float> y)
    {
        norm.Amplify(normalized, y);
        if (norm.Shift is not null)
        {
            TensorPrimitives.Add(y, norm.ShiftOf(), y);
        }
    }

    /// <summary>Rotates neighbouring heads of one token in place.</summary>
    public static void Rotate(this Rotary rotary, Span<float> heads, int headWidth, int position)
    {
        var half = rotary.Dimensions / 2;
        for (var pair = 0; pair < half; pair++)
        {
            var (sin, cos) = Math.SinCos(position * rotary.Frequency(pair));
            for (var start = pair; start < heads.Length; start += headWidth)
            {
                var (a, b) = (heads[start], heads[start + half]);
                heads[start] = (a * (float)cos) - (b * (float)sin);
                heads[start + half] = (b * (float)cos) + (a * (float)sin);
            }
        }
    }

    /// <summary>The gain of a norm; empty when folded.</summary>
    public static ReadOnlySpan<float> GainOf(this Norm norm) => Numbers(norm.Gain);

    /// <summary>The shift of a norm; empty for RMSNorm and when folded.</summary>
    public static ReadOnlySpan<float> ShiftOf(this Norm norm) => Numbers(norm.Shift);

    /// <summary>Reads rows of W_E, [tokens, d_model].</summary>
    public static void ReadEmbedding(this Model model, ReadOnlySpan<int> tokens, Span<float> destination)
    {
        foreach (var token in tokens)
        {
            if (token < 0 || token >= model.Config.VocabularySize)
            {
                throw new ArgumentException($"Token {token} is not one of the model's, 0 to {model.Config.VocabularySize - 1}.");
            }
        }

        using var scope = NewDisposeScope();
        Copy(model.Net.Embedding.Pick(Array.ConvertAll(tokens.ToArray(), token => (long)token)), destination);
    }

    /// <summary>Reads the unembedding of neighbouring tokens, [count, d_model].</summary>
    public static void ReadUnembedding(this Model model, int first, int count, Span<float> destination)
    {
        using var scope = NewDisposeScope();
        Copy(model.Net.Unembedding.Weight.Rows(first, count), destination);
    }

    /// <summary>y = MLP_0(LN2_0(x)): the first MLP behind its norm, without attention and residual (MAPS, section 3).</summary>
    public static void ApplyFirstMlp(this Model model, ReadOnlyMatrix x, Matrix y)
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        var block = model.Net.Blocks[0];
        var rows = tensor(x.ToArray(), [x.Rows, x.Columns]).to(model.Dtype).to(model.Device);
        Copy(block.Mlp.Forward(block.Ln2.Forward(rows, default), default), y.Values);
    }

    /// <summary>A kept activation in managed memory; the pass's own tensor is disposed.</summary>
    public static Tensor<float> Take(this ForwardPass pass, string name) => Managed(pass[name]);

    /// <summary>The logits in managed memory; the pass's own tensor is disposed.</summary>
    public static Tensor<float> TakeLogits(this ForwardPass pass) => Managed(pass.Logits!);

    /// <summary>A tensor in managed memory, row-major; the tensor stays as it is.</summary>
    public static float[] ToNumbers(this Tensor tensor)
    {
        var numbers = new float[tensor.numel()];
        Copy(tensor, numbers);
        return numbers;
    }

    /// <summary>An edit of numbers in managed memory.</summary>
    public static Hooks EditNumbers(this Hooks hooks, string name, Action<ActivationNumbers> edit) => hooks.Edit(name, (value, point) =>
    {
        var numbers = value.ToNumbers();
        edit(new(numbers, value.shape, point.Layer, point.Lengths));
        return value.copy_(tensor(numbers, value.shape));
    });

    private static double Center(Norm norm, ReadOnlySpan<float> x) => norm.Kind == NormKind.RmsNorm ? 0 : DoubleSums.Sum(x) / x.Length;

    private static int KeyHead(Model model, Head head) => head.Index / model.Config.GroupSize;

    private static ReadOnlyMatrix Outputs(Linear linear, int part, int parts)
    {
        var width = (int)linear.Outputs / parts;
        return linear.InputsByRow
            ? Whole(linear).SliceColumns(part * width, width)
            : new ReadOnlyMatrix(Numbers(linear.Weight, part * width, width), width, (int)linear.Inputs).Transpose();
    }

    // W, [in, out].
    private static ReadOnlyMatrix Whole(Linear linear)
    {
        var stored = new ReadOnlyMatrix(Numbers(linear.Weight), (int)linear.Weight.Shape[0], (int)linear.Weight.Shape[1]);
        return linear.InputsByRow ? stored : stored.Transpose();
    }

    private static ReadOnlySpan<float> Bias(Linear linear, int part, Model model) =>
        linear.Bias is null ? [] : Numbers(linear.Bias).AsSpan(part * model.Config.HeadWidth, model.Config.HeadWidth);

    private static float[] Numbers(Parameter? parameter) => parameter is null ? [] : Numbers(parameter, 0, parameter.Shape[0]);

    // Rows of a parameter, kept as long as it.
    private static float[] Numbers(Parameter parameter, long first, long count)
    {
        var read = Read.GetOrCreateValue(parameter);
        lock (read)
        {
            if (!read.TryGetValue((first, count), out var numbers))
            {
                using var scope = NewDisposeScope();
                var rows = parameter.Rows(first, count);
                read.Add((first, count), numbers = new float[rows.numel()]);
                Copy(rows, numbers);
            }

            return numbers;
        }
    }

    private static Tensor<float> Managed(Tensor tensor)
    {
        using (tensor)
        {
            return System.Numerics.Tensors.Tensor.Create(tensor.ToNumbers(), [.. tensor.shape.Select(length => (nint)length)]);
        }
    }

    private static void Copy(Tensor tensor, Span<float> destination)
    {
        using var scope = NewDisposeScope();
        MemoryMarshal.Cast<byte, float>(tensor.detach().to(float32).cpu().contiguous().bytes).CopyTo(destination);
        GC.KeepAlive(tensor);
    }
}

/// <summary>An activation during a forward pass, as numbers; what is written goes on through the model.</summary>
/// <param name="values">The numbers, row-major.</param>
/// <param name="shape">The shape, such as [batch, position, head, d_head].</param>
/// <param name="layer">The layer; null outside the blocks.</param>
/// <param name="lengths">The number of tokens of each sequence.</param>
internal sealed class ActivationNumbers(float[] values, long[] shape, int? layer, IReadOnlyList<int> lengths)
{
    public int? Layer => layer;

    public IReadOnlyList<long> Shape => shape;

    public IReadOnlyList<int> Lengths => lengths;

    public Span<float> Values => values;

    /// <summary>The numbers at some leading indices: for <c>hook_z</c>, <c>At(b, t, h)</c> is the output of head h at position t.</summary>
    public Span<float> At(params ReadOnlySpan<int> indices)
    {
        var (start, size) = (0L, (long)values.Length);
        for (var i = 0; i < indices.Length; i++)
        {
            size /= shape[i];
            start += indices[i] * size;
        }

        return values.AsSpan((int)start, (int)size);
    }
}
