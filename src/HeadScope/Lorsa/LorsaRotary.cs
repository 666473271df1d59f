using System.Numerics.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace HeadScope;

/// <summary>Rotary positions of the QK heads of a Lorsa.</summary>
public sealed record LorsaRotary
{
    /// <summary>How many components of a query or key are rotated; the rest pass through. Even.</summary>
    public required int Dimensions { get; init; }

    /// <summary>The base of the frequencies <c>base^(-2m / Dimensions)</c>.</summary>
    public double Base { get; init; } = 10000;

    /// <summary>
    /// Whether components 2m and 2m+1 form a pair (GPT-J); otherwise m and m + Dimensions/2 do (Llama, GPT-NeoX).
    /// </summary>
    public bool AdjacentPairs { get; init; }

    /// <summary>How often every component is repeated before the rotation; 1 for none.</summary>
    public int Repeat { get; init; } = 1;

    /// <summary>The frequency scaling of Llama 3; null for none.</summary>
    public LorsaRotaryScaling? Scaling { get; init; }

    /// <summary>The positions of a model.</summary>
    internal static LorsaRotary Of(Rotary rotary) => new()
    {
        Dimensions = rotary.Dimensions,
        Base = rotary.Base,
        Scaling = rotary.FrequencyDivisors is { } divisors && divisors.Any(divisor => divisor != 1)
            ? LorsaRotaryScaling.From(divisors, rotary)
            : null,
    };

    /// <summary>The tables as Language-Model-SAEs stores them, [length, Dimensions], fp64: every angle twice, pairs laid out like the components.</summary>
    internal (Tensor Sine, Tensor Cosine) Tables(int length)
    {
        using var scope = NewDisposeScope();
        var angles = tensor([.. Enumerable.Range(0, length).Select(t => (double)t)]).outer(tensor(Frequencies()));
        var full = AdjacentPairs ? angles.repeat_interleave(2, 1) : angles.repeat(1, 2);
        return (scope.MoveToOuter(full.sin()), scope.MoveToOuter(full.cos()));
    }

    /// <summary>Turns queries or keys [..., T, e] by their position; they become <see cref="Repeat"/> times as wide.</summary>
    internal Tensor Turn(Tensor q)
    {
        var wide = Repeat == 1 ? q : q.repeat_interleave(Repeat, -1);
        var (sine, cosine) = Tables((int)q.shape[^2]);
        var turned = wide.narrow(-1, 0, Dimensions);
        var last = q.ndim - 1;
        var pairs = AdjacentPairs ? turned.unflatten(last, Dimensions / 2, 2) : turned.unflatten(last, 2, Dimensions / 2);

        // (u, v) becomes (u cos - v sin, v cos + u sin).
        var signs = AdjacentPairs ? tensor([-1.0, 1.0]).repeat(Dimensions / 2) : tensor([-1.0, 1.0]).repeat_interleave(Dimensions / 2);
        var partners = pairs.flip(AdjacentPairs ? last + 1 : last).flatten(last);
        turned = turned.mul(cosine.to(q.dtype, q.device)).addcmul(partners, sine.mul(signs).to(q.dtype, q.device), Scalars.One);
        return wide.shape[^1] == Dimensions ? turned : cat([turned, wide.narrow(-1, Dimensions, wide.shape[^1] - Dimensions)], -1);
    }

    /// <summary>The angle per position of every pair, [Dimensions / 2].</summary>
    /// <returns>The angular frequencies.</returns>
    internal double[] Frequencies()
    {
        var frequencies = new double[Dimensions / 2];
        for (var m = 0; m < frequencies.Length; m++)
        {
            var w = Math.Pow(Base, -2.0 * m / Dimensions);
            frequencies[m] = Scaling?.Apply(w) ?? w;
        }

        return frequencies;
    }
}

/// <summary>The frequency scaling of Llama 3 ("NTK by parts").</summary>
/// <param name="Factor">By how much low frequencies are slowed down.</param>
/// <param name="LowFrequencyFactor">Wavelengths above old length / this are scaled in full.</param>
/// <param name="HighFrequencyFactor">Wavelengths below old length / this stay.</param>
/// <param name="OldContextLength">The context length before the scaling, in tokens.</param>
public sealed record LorsaRotaryScaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OldContextLength)
{
    /// <summary>
    /// Finds the scaling behind the divisors of a model. Of the two bounds and the old length only the ratios matter, so the low bound is
    /// taken as 1. Between the bounds <c>kept</c>, the weight of the unscaled frequency, is linear in the frequency.
    /// </summary>
    internal static LorsaRotaryScaling From(IReadOnlyList<double> divisors, Rotary rotary)
    {
        var factor = divisors.Max();
        var blended = Enumerable.Range(0, divisors.Count)
            .Select(m => (Turns: Math.Pow(rotary.Base, -2.0 * m / rotary.Dimensions) / (2 * Math.PI), Kept: ((1 / divisors[m]) - (1 / factor)) / (1 - (1 / factor))))
            .Where(pair => pair.Kept is > 1e-6 and < 1 - 1e-6)
            .ToArray();
        if (blended.Length < 2)
        {
            throw new NotSupportedException(
                "The model divides the frequencies of its rotary positions in a way that a Lorsa cannot name; give LorsaConfig.Rotary yourself.");
        }

        var (first, last) = (blended[0], blended[^1]);
        var slope = (first.Kept - last.Kept) / (first.Turns - last.Turns);
        var span = slope / ((slope * first.Turns) - first.Kept);
        var scaling = new LorsaRotaryScaling(factor, 1, 1 + (span / slope), (int)Math.Round(span));
        return blended.All(pair => Math.Abs(scaling.Kept(pair.Turns) - pair.Kept) < 1e-3)
            ? scaling
            : throw new NotSupportedException("The frequencies of the model's rotary positions are not scaled as those of Llama 3.");
    }

    internal double Apply(double w)
    {
        var wavelength = 2 * Math.PI / w;
        if (wavelength > OldContextLength / LowFrequencyFactor)
        {
            return w / Factor;
        }

        if (wavelength < OldContextLength / HighFrequencyFactor)
        {
            return w;
        }

        var s = Kept(1 / wavelength);
        return ((1 - s) * w / Factor) + (s * w);
    }

    private double Kept(double turns) => ((OldContextLength * turns) - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor);
}

/// <summary>Turns queries and keys by their position, and gradients back. Widens them first when components repeat.</summary>
internal sealed class RotaryTable
{
    private readonly int inner;
    private readonly int repeat;
    private readonly int pairs;
    private readonly bool adjacent;
    private readonly float[] cosine;
    private readonly float[] sine;

    public RotaryTable(LorsaRotary? rotary, int qkWidth, int length)
    {
        inner = qkWidth;
        repeat = rotary?.Repeat ?? 1;
        Width = qkWidth * repeat;
        pairs = (rotary?.Dimensions ?? 0) / 2;
        adjacent = rotary?.AdjacentPairs ?? false;
        cosine = new float[length * pairs];
        sine = new float[length * pairs];
        var frequencies = rotary?.Frequencies() ?? [];
        for (var t = 0; t < length; t++)
        {
            for (var m = 0; m < pairs; m++)
            {
                var (sin, cos) = Math.SinCos(t * frequencies[m]);
                cosine[(t * pairs) + m] = (float)cos;
                sine[(t * pairs) + m] = (float)sin;
            }
        }
    }

    /// <summary>The number of components after the repetition.</summary>
    public int Width { get; }

    /// <summary>The tables as OpenMOSS stores them, [length, Dimensions]: every angle twice, pairs laid out like the components.</summary>
    public (float[] Sine, float[] Cosine) Full(int length)
    {
        var (fullSine, fullCosine) = (new float[length * 2 * pairs], new float[length * 2 * pairs]);
        for (var t = 0; t < length; t++)
        {
            for (var m = 0; m < pairs; m++)
            {
                foreach (var column in adjacent ? [2 * m, (2 * m) + 1] : (ReadOnlySpan<int>)[m, m + pairs])
                {
                    fullSine[(t * 2 * pairs) + column] = sine[(t * pairs) + m];
                    fullCosine[(t * 2 * pairs) + column] = cosine[(t * pairs) + m];
                }
            }
        }

        return (fullSine, fullCosine);
    }

    public void Rotate(ReadOnlySpan<float> source, int position, Span<float> destination)
    {
        if (repeat == 1)
        {
            source.CopyTo(destination);
        }
        else
        {
            for (var j = 0; j < destination.Length; j++)
            {
                destination[j] = source[j / repeat];
            }
        }

        Turn(destination, position, 1);
    }

    public void RotateBack(Span<float> gradient, int position, Span<float> destination)
    {
        Turn(gradient, position, -1);
        if (repeat == 1)
        {
            gradient.CopyTo(destination);
            return;
        }

        for (var j = 0; j < inner; j++)
        {
            destination[j] = TensorPrimitives.Sum<float>(gradient.Slice(j * repeat, repeat));
        }
    }

    private void Turn(Span<float> v, int position, float direction)
    {
        var cos = cosine.AsSpan(position * pairs, pairs);
        var sin = sine.AsSpan(position * pairs, pairs);
        for (var m = 0; m < pairs; m++)
        {
            var (i, j) = adjacent ? (2 * m, (2 * m) + 1) : (m, m + pairs);
            var s = sin[m] * direction;
            (v[i], v[j]) = ((v[i] * cos[m]) - (v[j] * s), (v[j] * cos[m]) + (v[i] * s));
        }
    }
}
