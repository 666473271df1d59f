namespace HeadScope;

/// <summary>
/// Who wrote a signal: for one side of a firing, what every earlier component adds to U_S · x̃, the projection of the normalised residual
/// onto the signal U_S = Σ_{k in S} sign(a_k) √s_k u_k (V_S with v_k on the source side). The parts sum to the whole
/// (arXiv 2410.00340, section 5; the published numbers add the constant to every head instead, see <see cref="PublishedHead"/>).
/// </summary>
/// <param name="Side">The side.</param>
/// <param name="Position">The token.</param>
/// <param name="Scale">What the normalised residual was divided by there; each part holds the division.</param>
/// <param name="Parts">The part of each component.</param>
/// <param name="PerSourceToken">For each head, how its part splits over the tokens 0 .. Position that it read; sums to the part.</param>
public sealed record Upstream(
    SignalSide Side,
    int Position,
    float Scale,
    IReadOnlyList<KeyValuePair<Component, double>> Parts,
    IReadOnlyDictionary<Head, IReadOnlyList<double>> PerSourceToken)
{
    /// <summary>The sum of all parts: U_S · x̃.</summary>
    public double Total => Parts.Sum(part => part.Value);

    /// <summary>The part of one component.</summary>
    /// <param name="component">The component.</param>
    public double this[Component component] => Parts.First(part => part.Key == component).Value;

    /// <summary>What the published code gives for a head: its part with the whole constant, divided by the scale, added on.</summary>
    /// <param name="head">The head.</param>
    /// <returns>The number.</returns>
    public double PublishedHead(Head head) =>
        this[head] + (Parts.FirstOrDefault(part => part.Key.Kind == ComponentKind.Constant).Value / Scale);
}
