namespace HeadScope;

/// <summary>A head firing: a destination token that gives a source token most of its attention.</summary>
/// <param name="Prompt">The prompt, counted from 0.</param>
/// <param name="Head">The head.</param>
/// <param name="Destination">The position of the query token.</param>
/// <param name="Source">The position of the key token.</param>
/// <param name="Pattern">The attention that the destination gives the source.</param>
/// <param name="Signal">The sparse set of directions that makes the score before scaling.</param>
/// <param name="Signs">The sign of u_k · x̃_i for each direction of the set.</param>
/// <param name="Magnitudes">√s_k for each direction of the set.</param>
public sealed record Firing(
    int Prompt,
    Head Head,
    int Destination,
    int Source,
    float Pattern,
    SparseSet Signal,
    IReadOnlyList<int> Signs,
    IReadOnlyList<double> Magnitudes);
