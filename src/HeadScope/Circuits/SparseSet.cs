namespace HeadScope;

/// <summary>
/// The few singular directions that make a score: the fewest leading contributions whose sum exceeds the whole score, the negative ones
/// being left to cancel against the positive rest (arXiv 2410.00340, section 4).
/// </summary>
/// <param name="Directions">The directions of the set, strongest first.</param>
/// <param name="Contributions">Their contributions c_k = s_k (u_k · x̃_i)(v_k · x̃_j), in the same order.</param>
/// <param name="Score">The whole score r = Σ_k c_k over all directions.</param>
/// <param name="Margin">How far the deciding running shares of the score are from 1; near 0 the set is a matter of rounding.</param>
/// <param name="HasSolution">Whether a leading part exceeds the score; without one the set holds all directions.</param>
public sealed record SparseSet(
    IReadOnlyList<int> Directions, IReadOnlyList<double> Contributions, double Score, double Margin, bool HasSolution)
{
    /// <summary>The score minus the contributions of the set; not positive for a positive score.</summary>
    public double Remainder => Score - Contributions.Sum();

    /// <summary>Chooses the set.</summary>
    /// <param name="contributions">c_k for every direction, [d_head].</param>
    /// <returns>The set.</returns>
    /// <exception cref="ArgumentException">There are no contributions, or one is not finite.</exception>
    internal static SparseSet Of(ReadOnlySpan<double> contributions)
    {
        if (contributions.IsEmpty || contributions.ContainsAnyExceptInRange(double.MinValue, double.MaxValue))
        {
            throw new ArgumentException("A sparse set needs at least one contribution, and finite ones only.", nameof(contributions));
        }

        var score = 0.0;
        foreach (var contribution in contributions)
        {
            score += contribution;
        }

        var values = contributions.ToArray();
        int[] order = [.. Enumerable.Range(0, values.Length)];
        Array.Sort(order, (a, b) => score > 0
            ? (values[b].CompareTo(values[a]), a.CompareTo(b)) switch { (0, var tie) => tie, (var by, _) => by }
            : (values[a].CompareTo(values[b]), a.CompareTo(b)) switch { (0, var tie) => tie, (var by, _) => by });
        var (sum, before, count) = (0.0, 0.0, values.Length);
        var (found, margin) = (false, double.PositiveInfinity);
        for (var n = 0; n < order.Length && !found; n++)
        {
            before = sum / score;
            sum += values[order[n]];
            if (sum / score > 1)
            {
                (found, count) = (true, n + 1);
                margin = Math.Min((sum / score) - 1, n == 0 ? double.PositiveInfinity : 1 - before);
            }
        }

        if (!found)
        {
            margin = Math.Abs((sum / score) - 1);
        }

        int[] directions = [.. order.Take(count)];
        return new SparseSet(directions, [.. directions.Select(k => values[k])], score, margin, found);
    }
}
