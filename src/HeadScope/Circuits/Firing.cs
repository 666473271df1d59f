namespace HeadScope;

/// <summary>A head firing: a destination token that gives a source token most of its attention; with the sparse set, the few singular directions that
/// make its score: the fewest leading contributions whose sum exceeds the whole score, the negative ones being left to cancel against the positive
/// rest (arXiv 2410.00340, sections 3 and 4).</summary>
/// <param name="Prompt">The prompt, counted from 0.</param>
/// <param name="Head">The head.</param>
/// <param name="Destination">The position of the query token.</param>
/// <param name="Source">The position of the key token.</param>
/// <param name="Pattern">The attention that the destination gives the source.</param>
/// <param name="Score">The score before scaling, r = Σ_k c_k over all directions.</param>
/// <param name="Directions">The directions of the sparse set, strongest first.</param>
/// <param name="Contributions">Their contributions c_k = s_k (u_k · x̃_i)(v_k · x̃_j), in the same order.</param>
/// <param name="Signs">The sign of u_k · x̃_i of each.</param>
/// <param name="Magnitudes">√s_k of each.</param>
/// <param name="Margin">How far the deciding running shares of the score are from 1; near 0 the set is a matter of rounding.</param>
/// <param name="HasSolution">Whether a leading part exceeds the score; without one the set holds all directions.</param>
public sealed record Firing(
    int Prompt, Head Head, int Destination, int Source, float Pattern, double Score, IReadOnlyList<int> Directions,
    IReadOnlyList<double> Contributions, IReadOnlyList<int> Signs, IReadOnlyList<double> Magnitudes, double Margin, bool HasSolution)
{
    /// <summary>The score minus the contributions of the set; not positive for a positive score.</summary>
    public double Remainder => Score - Contributions.Sum();
}
