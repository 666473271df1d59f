using System.Numerics;
using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>How the gradient moves the parameters.</summary>
public enum LorsaOptimizerKind
{
    /// <summary>Adam (Kingma and Ba 2015), β = 0.9, 0.999, ε = 1e-8, no weight decay.</summary>
    Adam,

    /// <summary>
    /// Adam that moves only numbers with a gradient other than 0: the moments of all decay, but a head that was silent in a batch stays
    /// where it is.
    /// </summary>
    SparseAdam,
}

/// <summary>How a large gradient is shortened.</summary>
public enum LorsaClipping
{
    /// <summary>By the root mean square over the numbers that have a gradient, as OpenMOSS does; thresholds are left out.</summary>
    RootMeanSquare,

    /// <summary>By the norm over all numbers, as the first published implementation and most other codes do.</summary>
    Norm,
}

/// <summary>Adam and its state.</summary>
internal sealed class LorsaOptimizer(LorsaConfig config, LorsaOptimizerKind kind)
{
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;
    private const int Chunk = 1 << 16;

    public LorsaParameters FirstMoment { get; } = new(config);

    public LorsaParameters SecondMoment { get; } = new(config);

    /// <summary>The steps taken by each tensor, in the order of the parameters (they differ for SparseAdam alone).</summary>
    public long[] Steps { get; } = new long[new LorsaParameters(config).All.Count];

    /// <summary>Shortens the gradient where it is too long.</summary>
    /// <returns>Its length before, as <paramref name="clipping"/> measures it.</returns>
    public static double Clip(LorsaParameters gradient, LorsaClipping clipping, double limit)
    {
        var tensors = gradient.All.Where(tensor =>
            clipping == LorsaClipping.Norm || !string.Equals(tensor.Name, LorsaParameters.LogThresholdName, StringComparison.Ordinal)).ToList();
        var squares = 0.0;
        var nonzero = 0L;
        foreach (var tensor in tensors)
        {
            var chunks = (tensor.Values.Length + Chunk - 1) / Chunk;
            var (chunkSquares, chunkNonzero) = (new double[chunks], new long[chunks]);
            Parallelism.For(chunks, c =>
            {
                var values = tensor.Values.AsSpan(c * Chunk, Math.Min(Chunk, tensor.Values.Length - (c * Chunk)));
                chunkSquares[c] = DoubleSums.SumOfSquares(values);
                chunkNonzero[c] = clipping == LorsaClipping.Norm ? 0 : values.Length - values.Count(0f);
            });
            squares += chunkSquares.Sum();
            nonzero += chunkNonzero.Sum();
        }

        var norm = Math.Sqrt(squares / (clipping == LorsaClipping.Norm ? 1 : Math.Max(1, nonzero)));
        if (limit > 0 && norm > limit)
        {
            var factor = (float)(limit / (norm + 1e-6));
            foreach (var tensor in tensors)
            {
                TensorPrimitives.Multiply(tensor.Values, factor, tensor.Values);
            }
        }

        return norm;
    }

    /// <summary>Moves the parameters.</summary>
    /// <param name="parameters">What is moved.</param>
    /// <param name="gradient">The gradient.</param>
    /// <param name="learningRate">The learning rate of this step.</param>
    /// <param name="thresholdFactor">By how much that of JumpReLU thresholds differs.</param>
    public void Step(LorsaParameters parameters, LorsaParameters gradient, double learningRate, double thresholdFactor)
    {
        for (var i = 0; i < parameters.All.Count; i++)
        {
            var tensor = parameters.All[i];
            var g = gradient.All[i].Values;
            if (kind == LorsaOptimizerKind.SparseAdam && !g.AsSpan().ContainsAnyExcept(0f))
            {
                continue;
            }

            var step = ++Steps[i];
            var rate = string.Equals(tensor.Name, LorsaParameters.LogThresholdName, StringComparison.Ordinal)
                ? learningRate * thresholdFactor
                : learningRate;
            var correction1 = 1 - Math.Pow(Beta1, step);
            var correction2 = Math.Sqrt(1 - Math.Pow(Beta2, step));

            // SparseAdam adds epsilon to sqrt(v) before its bias is corrected, Adam after it.
            var sparse = kind == LorsaOptimizerKind.SparseAdam;
            var move = (float)(rate * correction2 / correction1);
            var epsilon = (float)(sparse ? Epsilon : Epsilon * correction2);
            var (m, v) = (FirstMoment.All[i].Values, SecondMoment.All[i].Values);
            Parallelism.For((tensor.Values.Length + Chunk - 1) / Chunk, c =>
            {
                var first = c * Chunk;
                var count = Math.Min(Chunk, tensor.Values.Length - first);
                Update(
                    tensor.Values.AsSpan(first, count), g.AsSpan(first, count), m.AsSpan(first, count), v.AsSpan(first, count), move,
                    epsilon, sparse);
            });
        }
    }

    private static void Update(
        Span<float> p, ReadOnlySpan<float> g, Span<float> m, Span<float> v, float move, float epsilon, bool sparse)
    {
        const float B1 = (float)Beta1, B2 = (float)Beta2, C1 = (float)(1 - Beta1), C2 = (float)(1 - Beta2);
        var i = 0;
        for (; i <= p.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var gradient = new Vector<float>(g[i..]);
            var first = (new Vector<float>(m[i..]) * B1) + (gradient * C1);
            var second = (new Vector<float>(v[i..]) * B2) + (gradient * gradient * C2);
            first.CopyTo(m[i..]);
            second.CopyTo(v[i..]);
            var change = first * move / (Vector.SquareRoot(second) + new Vector<float>(epsilon));
            if (sparse)
            {
                change = Vector.ConditionalSelect(Vector.Equals(gradient, Vector<float>.Zero), Vector<float>.Zero, change);
            }

            (new Vector<float>(p[i..]) - change).CopyTo(p[i..]);
        }

        for (; i < p.Length; i++)
        {
            m[i] = (m[i] * B1) + (g[i] * C1);
            v[i] = (v[i] * B2) + (g[i] * g[i] * C2);
            if (!sparse || g[i] != 0)
            {
                p[i] -= m[i] * move / (MathF.Sqrt(v[i]) + epsilon);
            }
        }
    }
}
