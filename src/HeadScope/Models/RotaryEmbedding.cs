namespace HeadScope;

/// <summary>
/// Rotary positions (RoFormer, arXiv 2104.09864) over half-split pairs: of the first <see cref="Dimensions"/> channels of a head,
/// channels i and i + Dimensions / 2 are rotated by position × frequency i. The other channels stay as they are.
/// </summary>
/// <param name="Dimensions">How many channels of a head are rotated; even.</param>
/// <param name="Base">The base θ of the frequencies θ^(-2i / Dimensions).</param>
/// <param name="FrequencyDivisors">
/// What each of the Dimensions / 2 frequencies is divided by, for models whose context was stretched after training; null for 1.
/// </param>
public sealed record RotaryEmbedding(int Dimensions, double Base, IReadOnlyList<double>? FrequencyDivisors = null)
{
    /// <summary>The angle by which pair <paramref name="pair"/> turns from one position to the next, in radians.</summary>
    /// <param name="pair">The pair, 0 to Dimensions / 2 - 1.</param>
    /// <returns>The frequency.</returns>
    public double Frequency(int pair)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pair);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(pair, Dimensions / 2);
        return Math.Pow(Base, -2.0 * pair / Dimensions) / (FrequencyDivisors?[pair] ?? 1);
    }

    /// <summary>
    /// The divisors of the <c>llama3</c> scaling: long wavelengths are divided by <paramref name="factor"/>, short ones are kept,
    /// and those between the two bounds are blended.
    /// </summary>
    /// <param name="dimensions">How many channels of a head are rotated.</param>
    /// <param name="rotaryBase">The base of the frequencies.</param>
    /// <param name="factor">How far the context was stretched.</param>
    /// <param name="lowFrequencyFactor">Wavelengths above original length / this are divided.</param>
    /// <param name="highFrequencyFactor">Wavelengths below original length / this are kept.</param>
    /// <param name="originalLength">The context length before stretching.</param>
    /// <returns>One divisor for each pair.</returns>
    public static IReadOnlyList<double> Llama3Divisors(
        int dimensions, double rotaryBase, double factor, double lowFrequencyFactor, double highFrequencyFactor, double originalLength)
    {
        var divisors = new double[dimensions / 2];
        for (var pair = 0; pair < divisors.Length; pair++)
        {
            var wavelength = 2 * Math.PI * Math.Pow(rotaryBase, 2.0 * pair / dimensions);
            var kept = (originalLength / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
            kept = Math.Clamp(kept, 0, 1);
            divisors[pair] = 1 / (((1 - kept) / factor) + kept);
        }

        return divisors;
    }

    /// <summary>The cosines and sines of all pairs for neighbouring positions.</summary>
    /// <param name="firstPosition">The first position.</param>
    /// <param name="count">How many positions.</param>
    /// <returns>For each position Dimensions / 2 cosines, then as many sines.</returns>
    internal float[] Table(int firstPosition, int count)
    {
        var half = Dimensions / 2;
        var table = new float[count * Dimensions];
        for (var pair = 0; pair < half; pair++)
        {
            // Angles in fp64: at position 100 000 the fp32 rounding of the angle alone would be 0.004 rad.
            var frequency = Frequency(pair);
            for (var t = 0; t < count; t++)
            {
                var (sin, cos) = Math.SinCos((firstPosition + t) * frequency);
                table[(t * Dimensions) + pair] = (float)cos;
                table[(t * Dimensions) + half + pair] = (float)sin;
            }
        }

        return table;
    }

    /// <summary>Rotates neighbouring heads of one token in place.</summary>
    /// <param name="heads">The heads' channels, one head after the other.</param>
    /// <param name="headWidth">The width of one head.</param>
    /// <param name="angles">This position's part of <see cref="Table"/>.</param>
    internal void Rotate(Span<float> heads, int headWidth, ReadOnlySpan<float> angles)
    {
        var half = Dimensions / 2;
        var cos = angles[..half];
        var sin = angles.Slice(half, half);
        for (var start = 0; start < heads.Length; start += headWidth)
        {
            var first = heads.Slice(start, half);
            var second = heads.Slice(start + half, half);
            for (var i = 0; i < half; i++)
            {
                var (a, b) = (first[i], second[i]);
                first[i] = (a * cos[i]) - (b * sin[i]);
                second[i] = (b * cos[i]) + (a * sin[i]);
            }
        }
    }
}
