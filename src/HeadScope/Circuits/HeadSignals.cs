namespace HeadScope;

/// <summary>How one head fires over many prompts (arXiv 2410.00340, section 4): how many directions make its scores, and which recur.</summary>
/// <param name="Head">The head.</param>
/// <param name="FiringCount">How often it fired.</param>
/// <param name="DirectionCounts">[d_head + 1]: how many of its firings have a sparse set of 0, 1, 2 … directions.</param>
/// <param name="Directions">The directions that occur, most frequent first.</param>
public sealed record HeadSignals(
    Head Head, int FiringCount, IReadOnlyList<int> DirectionCounts, IReadOnlyList<DirectionUse> Directions)
{
    /// <summary>The mean number of directions of a firing.</summary>
    public double MeanDirections => DirectionCounts.Select((firings, n) => (double)n * firings).Sum() / FiringCount;

    /// <summary>The number of directions that at least half of the firings do not exceed.</summary>
    public int MedianDirections
    {
        get
        {
            var (seen, n) = (DirectionCounts[0], 0);
            while (2 * seen < FiringCount)
            {
                seen += DirectionCounts[++n];
            }

            return n;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"{Head}: {FiringCount} firings, {MeanDirections:0.0} of {DirectionCounts.Count - 1} directions on average, "
        + $"direction {Directions[0].Direction} in {Directions[0].Share:P0}");
}
