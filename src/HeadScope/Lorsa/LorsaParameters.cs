using System.Numerics.Tensors;
using TorchSharp;

namespace HeadScope;

/// <summary>One named array of numbers of a Lorsa: a parameter, its gradient, or a moment of it.</summary>
internal sealed record LorsaTensor(string Name, int[] Shape, float[] Values)
{
    public long[] Lengths => Array.ConvertAll(Shape, length => (long)length);

    /// <summary>The numbers themselves as a tensor, not a copy.</summary>
    public torch.Tensor Shared() => torch.from_array(Values).view(Lengths);
}

/// <summary>The trained numbers of a Lorsa, or as many numbers that belong to them (gradients, moments), by the names of OpenMOSS.</summary>
internal sealed class LorsaParameters
{
    public LorsaParameters(LorsaConfig config)
    {
        config.Validate();
        int d = config.ModelWidth, n = config.Heads, g = config.QkHeads, e = config.QkWidth;
        QueryWeight = Add("W_Q", g, d, e);
        KeyWeight = Add("W_K", g, d, e);
        ValueWeight = Add("W_V", n, d);
        OutputWeight = Add("W_O", n, d);
        QueryBias = Add("b_Q", g, e);
        KeyBias = Add("b_K", g, e);
        ValueBias = Add("b_V", n);
        OutputBias = config.HasOutputBias ? Add("b_D", d) : [];
        QueryGain = config.QkNorm ? Add("ln_q.w", g, e) : [];
        KeyGain = config.QkNorm ? Add("ln_k.w", g, e) : [];
        LogThreshold = config.Activation == LorsaActivation.JumpRelu ? Add(LogThresholdName, n) : [];
    }

    public const string LogThresholdName = "activation_function.log_jumprelu_threshold";

    /// <summary>All of them, in a fixed order.</summary>
    public List<LorsaTensor> All { get; } = [];

    /// <summary>W_Q, [G, d, e].</summary>
    public float[] QueryWeight { get; }

    /// <summary>W_K, [G, d, e].</summary>
    public float[] KeyWeight { get; }

    /// <summary>W_V, [n, d].</summary>
    public float[] ValueWeight { get; }

    /// <summary>W_O, [n, d].</summary>
    public float[] OutputWeight { get; }

    /// <summary>b_Q, [G, e].</summary>
    public float[] QueryBias { get; }

    /// <summary>b_K, [G, e].</summary>
    public float[] KeyBias { get; }

    /// <summary>b_V, [n].</summary>
    public float[] ValueBias { get; }

    /// <summary>b_D, [d]; empty without.</summary>
    public float[] OutputBias { get; }

    /// <summary>The gain of the norm of queries, [G, e]; empty without.</summary>
    public float[] QueryGain { get; }

    /// <summary>The gain of the norm of keys, [G, e]; empty without.</summary>
    public float[] KeyGain { get; }

    /// <summary>The logarithms of the thresholds, [n]; empty without.</summary>
    public float[] LogThreshold { get; }

    public LorsaTensor? Find(string name) => All.Find(tensor => string.Equals(tensor.Name, name, StringComparison.Ordinal));

    public void CopyTo(LorsaParameters other)
    {
        foreach (var (mine, others) in All.Zip(other.All))
        {
            mine.Values.CopyTo(others.Values, 0);
        }
    }

    /// <summary>|w_O| of every head, [n].</summary>
    public float[] OutputNorms(int width)
    {
        var norms = new float[ValueBias.Length];
        for (var i = 0; i < norms.Length; i++)
        {
            norms[i] = TensorPrimitives.Norm<float>(OutputWeight.AsSpan(i * width, width));
        }

        return norms;
    }

    private float[] Add(string name, params int[] shape)
    {
        var values = new float[shape.Aggregate(1, (product, length) => checked(product * length))];
        All.Add(new(name, shape, values));
        return values;
    }
}
