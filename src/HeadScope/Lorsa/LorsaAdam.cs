using System.Numerics;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// Adam (Kingma and Ba 2015) and its state: β = 0.9, 0.999, ε = 1e-8, no weight decay. Sparse, as in Language-Model-SAEs, numbers without a
/// gradient stay where they are, and whole tensors without one are passed over.
/// </summary>
internal sealed class LorsaAdam(Lorsa lorsa, bool sparse) : IDisposable
{
    private const double Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8;
    private const int Chunk = 1 << 16;

    /// <summary>The first moments, by parameter.</summary>
    public OrderedDictionary<string, Tensor> First { get; } = Zeros(lorsa);

    /// <summary>The second moments, by parameter.</summary>
    public OrderedDictionary<string, Tensor> Second { get; } = Zeros(lorsa);

    /// <summary>The steps taken by each parameter (they differ for SparseAdam alone).</summary>
    public long[] Steps { get; } = new long[Lorsa.Shapes(lorsa.Config).Length];

    /// <summary>Moves the parameters along their gradients.</summary>
    public void Step(double learningRate, double thresholdFactor)
    {
        using var scope = NewDisposeScope();
        using var constant = no_grad();
        var i = 0;
        foreach (var (name, first) in First)
        {
            var weight = lorsa.Weight(name);
            var gradient = weight.grad!.contiguous();
            if (sparse && gradient.count_nonzero().item<long>() == 0)
            {
                i++;
                continue;
            }

            var step = ++Steps[i++];
            var rate = name == Lorsa.LogThreshold ? learningRate * thresholdFactor : learningRate;
            var correction = Math.Sqrt(1 - Math.Pow(Beta2, step));

            // SparseAdam adds epsilon to sqrt(v) before its bias is corrected, Adam after it.
            var (move, epsilon) = (rate * correction / (1 - Math.Pow(Beta1, step)), sparse ? Epsilon : Epsilon * correction);
            if (sparse || weight.device_type != DeviceType.CPU || weight.dtype != float32)
            {
                Update(weight, gradient, first, Second[name], move, epsilon, sparse);
                continue;
            }

            Parallelism.For((int)((weight.numel() + Chunk - 1) / Chunk), c =>
                Update(Part(weight, c), Part(gradient, c), Part(first, c), Part(Second[name], c), (float)move, (float)epsilon));
        }

        GC.KeepAlive(this);

        static Span<float> Part(Tensor tensor, int c)
        {
            var numbers = tensor.Memory<float>();
            return numbers.Slice(c * Chunk, Math.Min(Chunk, numbers.Length - (c * Chunk)));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => First.Values.Concat(Second.Values).ToList().ForEach(moment => moment.Dispose());

    /// <summary>The rule for one tensor, in place.</summary>
    internal static void Update(Tensor p, Tensor g, Tensor m, Tensor v, double move, double epsilon, bool sparse)
    {
        m.mul_(Scalars.Of(Beta1)).add_(g, Scalars.Of(1 - Beta1));
        v.mul_(Scalars.Of(Beta2)).addcmul_(g, g, Scalars.Of(1 - Beta2));

        // As tensors, since every step has other numbers.
        var change = m.mul(tensor(move)).div_(v.sqrt().add_(tensor(epsilon), Scalars.One));
        p.sub_(sparse ? change.masked_fill_(g.eq(Scalars.Of(0)), Scalars.Of(0)) : change);
    }

    /// <summary>The same, but not sparse, in one pass over memory, which takes a fifth of the time.</summary>
    internal static void Update(Span<float> p, ReadOnlySpan<float> g, Span<float> m, Span<float> v, float move, float epsilon)
    {
        const float B1 = (float)Beta1, B2 = (float)Beta2, C1 = (float)(1 - Beta1), C2 = (float)(1 - Beta2);
        ReadOnlySpan<Vector<float>> gs = MemoryMarshal.Cast<float, Vector<float>>(g);
        Span<Vector<float>> ps = MemoryMarshal.Cast<float, Vector<float>>(p), ms = MemoryMarshal.Cast<float, Vector<float>>(m), vs = MemoryMarshal.Cast<float, Vector<float>>(v);
        for (var i = 0; i < gs.Length; i++)
        {
            ms[i] = (ms[i] * B1) + (gs[i] * C1);
            vs[i] = (vs[i] * B2) + (gs[i] * gs[i] * C2);
            ps[i] -= ms[i] * move / (Vector.SquareRoot(vs[i]) + new Vector<float>(epsilon));
        }

        for (var i = gs.Length * Vector<float>.Count; i < g.Length; i++)
        {
            m[i] = (m[i] * B1) + (g[i] * C1);
            v[i] = (v[i] * B2) + (g[i] * g[i] * C2);
            p[i] -= m[i] * move / (MathF.Sqrt(v[i]) + epsilon);
        }
    }

    private static OrderedDictionary<string, Tensor> Zeros(Lorsa lorsa) => new(Lorsa.Shapes(lorsa.Config).Select(p =>
        KeyValuePair.Create(p.Name, zeros_like(lorsa.Weight(p.Name), requires_grad: false).DetachFromDisposeScope())), StringComparer.Ordinal);
}
