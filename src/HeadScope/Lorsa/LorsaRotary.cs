namespace HeadScope;

/// <summary>Rotary positions of the QK heads of a Lorsa.</summary>
internal static class LorsaRotary
{
    /// <summary>The shape of a Lorsa with the positions of a model.</summary>
    public static LorsaConfig With(this LorsaConfig config, Rotary? rotary) => rotary is null ? config : config with
    {
        RotaryDimensions = rotary.Dimensions,
        RotaryBase = rotary.Base,
        RotaryScaling = rotary.FrequencyDivisors is { } divisors && divisors.Any(divisor => divisor != 1) ? Scaling(divisors, rotary) : null,
    };

    /// <summary>The angle from one position to the next of every pair, [RotaryDimensions / 2].</summary>
    public static double[] Frequencies(this LorsaConfig config)
    {
        var (dimensions, theta) = (config.RotaryDimensions, config.RotaryBase);
        var rotary = new Rotary(dimensions, theta, config.RotaryScaling is var (factor, low, high, oldLength)
            ? Rotary.Llama3Divisors(dimensions, theta, factor, low, high, oldLength)
            : null);
        return [.. Enumerable.Range(0, dimensions / 2).Select(rotary.Frequency)];
    }

    /// <summary>The tables as Language-Model-SAEs stores them, [length, RotaryDimensions], fp64: every angle twice, pairs laid out like components.</summary>
    public static (Tensor Sine, Tensor Cosine) RotaryTables(this LorsaConfig config, int length)
    {
        using var scope = NewDisposeScope();
        var angles = tensor([.. Enumerable.Range(0, length).Select(t => (double)t)]).outer(tensor(config.Frequencies()));
        var full = config.RotaryAdjacentPairs ? angles.repeat_interleave(2, 1) : angles.repeat(1, 2);
        return (scope.MoveToOuter(full.sin()), scope.MoveToOuter(full.cos()));
    }

    /// <summary>Queries or keys, [..., T, e], turned by their positions; they become <see cref="LorsaConfig.RotaryRepeat"/> times as wide.</summary>
    public static Tensor Turn(this LorsaConfig config, Tensor q)
    {
        using var scope = NewDisposeScope();
        var wide = config.RotaryRepeat == 1 ? q.alias() : q.repeat_interleave(config.RotaryRepeat, -1);
        var (rotated, last) = (config.RotaryDimensions, q.ndim - 1);
        if (rotated == 0)
        {
            return scope.MoveToOuter(wide);
        }

        // (u, v) becomes (u cos - v sin, v cos + u sin).
        var (sine, cosine) = config.RotaryTables((int)q.shape[^2]);
        var turned = wide.narrow(-1, 0, rotated);
        var signs = tensor([-1.0, 1.0]);
        var (partners, sign) = config.RotaryAdjacentPairs
            ? (turned.unflatten(last, rotated / 2, 2).flip(last + 1), signs.repeat(rotated / 2))
            : (turned.unflatten(last, 2, rotated / 2).flip(last), signs.repeat_interleave(rotated / 2));
        turned = turned.mul(cosine.to(q.dtype, q.device)).addcmul(partners.flatten(last), sine.mul(sign).to(q.dtype, q.device), Scalars.One);
        return scope.MoveToOuter(wide.shape[^1] == rotated ? turned : cat([turned, wide.narrow(-1, rotated, wide.shape[^1] - rotated)], -1));
    }

    /// <summary>
    /// Finds the scaling behind the divisors of a model. Of the two bounds and the old length only the ratios matter, so the low bound is
    /// taken as 1. Between the bounds <c>kept</c>, the weight of the unscaled frequency, is linear in the frequency.
    /// </summary>
    private static (double Factor, double Low, double High, int OldLength) Scaling(IReadOnlyList<double> divisors, Rotary rotary)
    {
        var factor = divisors.Max();
        (double Turns, double Kept)[] blended = [.. divisors
            .Select((divisor, m) => (
                Math.Pow(rotary.Base, -2.0 * m / rotary.Dimensions) / (2 * Math.PI), Kept: ((1 / divisor) - (1 / factor)) / (1 - (1 / factor))))
            .Where(pair => pair.Kept is > 1e-6 and < 1 - 1e-6)];
        var (first, last) = (blended.FirstOrDefault(), blended.LastOrDefault());
        var slope = (first.Kept - last.Kept) / (first.Turns - last.Turns);
        var oldLength = slope / ((slope * first.Turns) - first.Kept);
        var high = 1 + (oldLength / slope);
        Fault.NotSupportedIf(
            blended.Length < 2 || blended.Any(pair => !(Math.Abs((((oldLength * pair.Turns) - 1) / (high - 1)) - pair.Kept) < 1e-3)),
            $"The model divides the frequencies of its rotary positions otherwise than Llama 3; the configuration of a Lorsa has no fields for that.");
        return (factor, 1, high, (int)Math.Round(oldLength));
    }
}
