using System.Globalization;

namespace HeadScope;

/// <summary>
/// Whether heads that share a key-value head share a function too (architecture bias; arXiv 2412.11965, section 4.4): beside each head
/// that implements a relation, the scores of its group and of the rest of its layer.
/// </summary>
/// <param name="Relation">The relation.</param>
/// <param name="Heads">The number of heads whose score reaches the threshold.</param>
/// <param name="GroupScore">The mean score of the other heads of their groups; NaN when there are none.</param>
/// <param name="LayerScore">The mean score of the heads of the same layers outside their groups; NaN when there are none.</param>
public sealed record GroupSharing(string Relation, int Heads, double GroupScore, double LayerScore)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Relation}: {Heads} heads; {GroupScore:0.000} in their groups, {LayerScore:0.000} beside them");

    internal static GroupSharing Of(RelationScores scores, int groupSize, double threshold)
    {
        var (hits, heads) = (scores.Hits(suppression: false), scores.HeadCount);
        List<double> group = [], layer = [];
        var count = 0;
        for (var l = 0; l < scores.LayerCount; l++)
        {
            for (var h = 0; h < heads; h++)
            {
                if (hits[l, h] <= 0 || scores.Share(hits[l, h]) < threshold)
                {
                    continue;
                }

                count++;
                for (var other = 0; other < heads; other++)
                {
                    if (other != h)
                    {
                        (other / groupSize == h / groupSize ? group : layer).Add(scores.Share(hits[l, other]));
                    }
                }
            }
        }

        static double Mean(List<double> values) => values.Count == 0 ? double.NaN : values.Average();
        return new GroupSharing(scores.Name, count, Mean(group), Mean(layer));
    }
}
