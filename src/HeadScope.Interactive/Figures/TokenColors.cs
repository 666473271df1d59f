namespace HeadScope;

/// <summary>The colours of tokens for the numbers that belong to them, the same in figures and in HTML.</summary>
/// <param name="scale">The colours.</param>
/// <param name="low">The number of the first colour.</param>
/// <param name="high">The number of the last colour.</param>
internal sealed class TokenColors(ColorScale scale, double low, double high)
{
    /// <summary>From nothing to the largest when no number is negative, else symmetric about nothing.</summary>
    public static TokenColors For(IEnumerable<float> values)
    {
        var finite = values.Where(float.IsFinite).DefaultIfEmpty(0).ToArray();
        var largest = Math.Max(1e-12, finite.Max(Math.Abs));
        return finite.Min() < 0
            ? new TokenColors(ColorScale.Diverging, -largest, largest)
            : new TokenColors(ColorScale.Sequential, 0, largest);
    }

    /// <summary>The colour behind a token.</summary>
    public string Fill(double value) => scale.Hex(Place(value));

    /// <summary>The colour of the token itself.</summary>
    public string Ink(double value) => scale.InkOn(Place(value));

    private double Place(double value) => double.IsFinite(value) ? (value - low) / (high - low) : -low / (high - low);
}
