namespace HeadScope;

/// <summary>Rotary positions (RoFormer, arXiv 2104.09864) over half-split pairs: of the first <see cref="Dimensions"/> channels of a head,
/// channels i and i + Dimensions / 2 are rotated by position × frequency i. The other channels stay as they are.</summary>
/// <param name="Dimensions">How many channels of a head are rotated; even.</param>
/// <param name="Base">The base θ of the frequencies θ^(-2i / Dimensions).</param>
/// <param name="FrequencyDivisors">What each of the Dimensions / 2 frequencies is divided by, for models whose context was stretched after
/// training; null for 1.</param>
public sealed record Rotary(int Dimensions, double Base, IReadOnlyList<double>? FrequencyDivisors = null)
{
    /// <summary>The angle by which a pair, 0 to Dimensions / 2 - 1, turns from one position to the next, in radians.</summary>
    internal double Frequency(int pair) => Math.Pow(Base, -2.0 * pair / Dimensions) / (FrequencyDivisors?[pair] ?? 1);

    /// <summary>The divisors, one for each pair, of the <c>llama3</c> scaling of a context of <paramref name="originalLength"/> tokens:
    /// wavelengths above that length / <paramref name="lowFrequencyFactor"/> are divided by <paramref name="factor"/>, those below it /
    /// <paramref name="highFrequencyFactor"/> are kept, and those between the two are blended.</summary>
    internal static IReadOnlyList<double> Llama3Divisors(
        int dimensions, double rotaryBase, double factor, double lowFrequencyFactor, double highFrequencyFactor, double originalLength) =>
        [.. Enumerable.Range(0, dimensions / 2).Select(pair =>
        {
            var wavelength = 2 * Math.PI * Math.Pow(rotaryBase, 2.0 * pair / dimensions);
            var kept = Math.Clamp((originalLength / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor), 0, 1);
            return 1 / (((1 - kept) / factor) + kept);
        })];

    /// <summary>The cosines and sines of the rotation at positions [batch × position].</summary>
    internal Angles At(ReadOnlySpan<long> positions, int batch, Device device, ScalarType dtype)
    {
        // Angles in fp64: at position 100 000 the fp32 rounding of the angle alone would be 0.004 rad.
        using var scope = NewDisposeScope();
        var frequencies = tensor(Enumerable.Range(0, Dimensions / 2).Select(Frequency).ToArray());
        var angles = tensor(positions.ToArray()).to(float64).outer(frequencies).view(batch, positions.Length / batch, 1, Dimensions / 2);
        return new(angles.cos().to(dtype).to(device).MoveToOuterDisposeScope(), angles.sin().to(dtype).to(device).MoveToOuterDisposeScope());
    }
}

/// <summary>A rotation of pairs of channels, for each position.</summary>
/// <param name="Cos">[1 or batch, position, 1, Dimensions / 2].</param>
/// <param name="Sin">As <paramref name="Cos"/>.</param>
internal sealed record Angles(Tensor Cos, Tensor Sin)
{
    /// <summary>Turns the first channels of each head, [batch, position, head, d_head].</summary>
    public Tensor Turn(Tensor x)
    {
        using var scope = NewDisposeScope();
        var half = Cos.shape[3];
        var turned = x.clone().contiguous();
        var (a, b) = (x.narrow(3, 0, half), x.narrow(3, half, half));
        turned.narrow(3, 0, half).mul_(Cos).addcmul_(b, Sin, Scalars.Of(-1));
        turned.narrow(3, half, half).mul_(Cos).addcmul_(a, Sin, Scalars.One);
        return turned.MoveToOuterDisposeScope();
    }
}
