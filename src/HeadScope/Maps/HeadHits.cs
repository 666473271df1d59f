using static TorchSharp.torch;

namespace HeadScope;

/// <summary>For each head how many targets are among the k largest and how many among the k smallest entries of its output.</summary>
public sealed record HeadHits
{
    private readonly int[,] relation;
    private readonly int[,] suppression;

    internal HeadHits(int[,] relation, int[,] suppression) => (this.relation, this.suppression) = (relation, suppression);

    /// <summary>Among the largest, [layer, head], int32.</summary>
    public Tensor Relation => tensor(relation);

    /// <summary>Among the smallest, [layer, head], int32.</summary>
    public Tensor Suppression => tensor(suppression);

    /// <summary>The counts of one sign, [layer, head], int32.</summary>
    /// <param name="suppression">Whether those among the smallest are asked for.</param>
    /// <returns>The counts.</returns>
    public Tensor Of(bool suppression) => tensor(Counts(suppression));

    /// <inheritdoc/>
    public override string ToString() => $"hits of {relation.GetLength(0)} × {relation.GetLength(1)} heads";

    internal int[,] Counts(bool suppression) => suppression ? this.suppression : relation;
}
