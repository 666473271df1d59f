using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>For each head how many targets are among the k largest and how many among the k smallest entries of its output.</summary>
/// <param name="Relation">Among the largest, [layer, head].</param>
/// <param name="Suppression">Among the smallest, [layer, head].</param>
public sealed record HeadHits(Tensor<int> Relation, Tensor<int> Suppression)
{
    /// <summary>The counts of one sign, [layer, head].</summary>
    /// <param name="suppression">Whether those among the smallest are asked for.</param>
    /// <returns>The counts.</returns>
    public Tensor<int> Of(bool suppression) => suppression ? Suppression : Relation;
}
