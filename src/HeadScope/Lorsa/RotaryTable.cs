using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>Turns queries and keys by their position, and gradients back. Widens them first when components repeat.</summary>
internal sealed class RotaryTable
{
    private readonly int inner;
    private readonly int repeat;
    private readonly int pairs;
    private readonly bool adjacent;
    private readonly float[] cosine;
    private readonly float[] sine;

    public RotaryTable(LorsaConfig config, int length)
    {
        inner = config.QkWidth;
        repeat = config.RotaryRepeat;
        Width = inner * repeat;
        pairs = config.RotaryDimensions / 2;
        adjacent = config.RotaryAdjacentPairs;
        cosine = new float[length * pairs];
        sine = new float[length * pairs];
        var frequencies = config.Frequencies();
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
