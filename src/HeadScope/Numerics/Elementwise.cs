using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace HeadScope;

/// <summary>
/// The functions of a transformer between its matrix products, over one row at a time. Every destination may be the input itself;
/// otherwise the two must not overlap.
/// </summary>
internal static class Elementwise
{
    private interface IFunction
    {
        static abstract Vector<float> Of(Vector<float> x);
    }

    /// <summary>exp(x) / Σ exp(x), with the largest number subtracted first and the sum in fp64. A score of −∞ gets probability 0.</summary>
    /// <param name="x">The scores; at least one above −∞, or the result is NaN.</param>
    /// <param name="destination">The probabilities, as many.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static void Softmax(ReadOnlySpan<float> x, Span<float> destination)
    {
        destination = RequireRoom(x, destination);
        if (x.IsEmpty)
        {
            return;
        }

        TensorPrimitives.Subtract(x, TensorPrimitives.Max(x), destination);
        TensorPrimitives.Exp(destination, destination);
        TensorPrimitives.Multiply(destination, (float)(1 / DoubleSums.Sum(destination)), destination);
    }

    /// <summary>log Σ exp(x), in fp64; the log probability of token t is <c>x[t] - LogSumExp(x)</c>.</summary>
    /// <param name="x">The scores.</param>
    /// <returns>The logarithm; −∞ for no scores.</returns>
    public static double LogSumExp(ReadOnlySpan<float> x)
    {
        if (x.IsEmpty)
        {
            return double.NegativeInfinity;
        }

        const int Chunk = 512;
        Span<float> buffer = stackalloc float[Chunk];
        var max = TensorPrimitives.Max(x);
        if (float.IsInfinity(max))
        {
            return max;
        }

        var sum = 0.0;
        for (; !x.IsEmpty; x = x[Math.Min(Chunk, x.Length)..])
        {
            var part = buffer[..Math.Min(Chunk, x.Length)];
            TensorPrimitives.Subtract(x[..part.Length], max, part);
            TensorPrimitives.Exp(part, part);
            sum += DoubleSums.Sum(part);
        }

        return max + Math.Log(sum);
    }

    /// <summary>y = (x - mean x) / σ · weight + bias with σ = √(mean (x - mean x)² + ε); mean and σ in fp64.</summary>
    /// <param name="x">One row.</param>
    /// <param name="weight">The gain of each number; empty for 1.</param>
    /// <param name="bias">The shift of each number; empty for 0.</param>
    /// <param name="epsilon">ε, added to the variance.</param>
    /// <param name="destination">y.</param>
    /// <returns>σ, which TransformerLens names <c>hook_scale</c>.</returns>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static float LayerNorm(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, double epsilon, Span<float> destination)
    {
        destination = RequireRoom(x, destination);
        if (x.IsEmpty)
        {
            return (float)Math.Sqrt(epsilon);
        }

        var mean = DoubleSums.Sum(x) / x.Length;
        var scale = Math.Sqrt((DoubleSums.SumOfSquaredDeviations(x, mean) / x.Length) + epsilon);
        TensorPrimitives.Subtract(x, (float)mean, destination);
        TensorPrimitives.Multiply(destination, (float)(1 / scale), destination);
        if (!weight.IsEmpty)
        {
            TensorPrimitives.Multiply(destination, weight, destination);
        }

        if (!bias.IsEmpty)
        {
            TensorPrimitives.Add(destination, bias, destination);
        }

        return (float)scale;
    }

    /// <summary>y = x / σ · weight with σ = √(mean x² + ε); σ in fp64.</summary>
    /// <param name="x">One row.</param>
    /// <param name="weight">The gain of each number; empty for 1.</param>
    /// <param name="epsilon">ε, added to the mean square.</param>
    /// <param name="destination">y.</param>
    /// <returns>σ, which TransformerLens names <c>hook_scale</c>.</returns>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static float RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, double epsilon, Span<float> destination)
    {
        destination = RequireRoom(x, destination);
        if (x.IsEmpty)
        {
            return (float)Math.Sqrt(epsilon);
        }

        var scale = Math.Sqrt((DoubleSums.SumOfSquares(x) / x.Length) + epsilon);
        TensorPrimitives.Multiply(x, (float)(1 / scale), destination);
        if (!weight.IsEmpty)
        {
            TensorPrimitives.Multiply(destination, weight, destination);
        }

        return (float)scale;
    }

    /// <summary>x Φ(x), the GELU with the error function (Hendrycks and Gimpel, arXiv 1606.08415); "gelu" in configurations.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="destination">The results, as many; good to a few units in the last place of max(|y|, tiny).</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static void Gelu(ReadOnlySpan<float> x, Span<float> destination) => Map<GeluFunction>(x, destination);

    /// <summary>½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), the GELU of GPT-2; "gelu_new" and "gelu_pytorch_tanh" in configurations.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="destination">The results, as many.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static void GeluTanh(ReadOnlySpan<float> x, Span<float> destination) => Map<GeluTanhFunction>(x, destination);

    /// <summary>x / (1 + exp(-x)); "silu" in configurations.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="destination">The results, as many.</param>
    /// <exception cref="ArgumentException">The destination is too short.</exception>
    public static void Silu(ReadOnlySpan<float> x, Span<float> destination) => Map<SiluFunction>(x, destination);

    private static Span<float> RequireRoom(ReadOnlySpan<float> x, Span<float> destination) => destination.Length >= x.Length
        ? destination[..x.Length]
        : throw new ArgumentException($"{x.Length} results do not fit a destination of {destination.Length}.", nameof(destination));

    // TensorPrimitives takes no function of one's own, so these few run over Vector<float> here; the tail goes through a padded vector.
    private static void Map<TFunction>(ReadOnlySpan<float> x, Span<float> destination)
        where TFunction : struct, IFunction
    {
        destination = RequireRoom(x, destination);
        var from = MemoryMarshal.Cast<float, Vector<float>>(x);
        var to = MemoryMarshal.Cast<float, Vector<float>>(destination);
        for (var i = 0; i < from.Length; i++)
        {
            to[i] = TFunction.Of(from[i]);
        }

        var done = from.Length * Vector<float>.Count;
        if (done < x.Length)
        {
            Span<float> padded = stackalloc float[Vector<float>.Count];
            padded.Clear();
            x[done..].CopyTo(padded);
            TFunction.Of(new Vector<float>(padded)).CopyTo(padded);
            padded[..(x.Length - done)].CopyTo(destination[done..]);
        }
    }

    private readonly struct SiluFunction : IFunction
    {
        public static Vector<float> Of(Vector<float> x) => x / (Vector<float>.One + Vector.Exp(-x));
    }

    private readonly struct GeluTanhFunction : IFunction
    {
        // ½ (1 + tanh u) = 1 / (1 + exp(-2u)), which also keeps its digits where the tanh is near -1.
        public static Vector<float> Of(Vector<float> x)
        {
            const float Slope = 1.5957691216057308f; // 2 √(2/π)
            var u = x * Vector.FusedMultiplyAdd(x * x, new(Slope * 0.044715f), new(Slope));
            return x / (Vector<float>.One + Vector.Exp(-u));
        }
    }

    private readonly struct GeluFunction : IFunction
    {
        private const float C0 = 0.1269361463f;
        private const float C1 = 0.1270859584f;
        private const float C2 = 0.1127938632f;
        private const float C3 = 0.09450178495f;
        private const float C4 = 0.03850725496f;
        private const float C5 = 0.03134854391f;
        private const float C6 = 0.01752350853f;
        private const float C7 = -0.1084941766f;
        private const float C8 = 0.07705345704f;
        private const float C9 = -0.0172563476f;

        // With z = |x|/√2 the smaller of Φ(x) and Φ(-x) is exp(-z²) · erfcx(z)/2, and erfcx(z)/2 is smooth enough for a
        // polynomial in t = 1/(1 + 0.45 z) on all of z ≥ 0. Its coefficients are a minimax fit over 0 ≤ z ≤ 10 with relative
        // error 1.4e-8; in fp32 the whole stays below 4e-7 relative, in the far negative tail too.
        public static Vector<float> Of(Vector<float> x)
        {
            var z = Vector.Abs(x) * new Vector<float>(0.70710678118654752f);
            var t = Vector<float>.One / Vector.FusedMultiplyAdd(z, new(0.45f), Vector<float>.One);
            var p = new Vector<float>(C9);
            p = Vector.FusedMultiplyAdd(p, t, new(C8));
            p = Vector.FusedMultiplyAdd(p, t, new(C7));
            p = Vector.FusedMultiplyAdd(p, t, new(C6));
            p = Vector.FusedMultiplyAdd(p, t, new(C5));
            p = Vector.FusedMultiplyAdd(p, t, new(C4));
            p = Vector.FusedMultiplyAdd(p, t, new(C3));
            p = Vector.FusedMultiplyAdd(p, t, new(C2));
            p = Vector.FusedMultiplyAdd(p, t, new(C1));
            p = Vector.FusedMultiplyAdd(p, t, new(C0));
            var tail = p * t * Vector.Exp(x * x * new Vector<float>(-0.5f));
            return x * Vector.ConditionalSelect(Vector.LessThan(x, Vector<float>.Zero), tail, Vector<float>.One - tail);
        }
    }
}
