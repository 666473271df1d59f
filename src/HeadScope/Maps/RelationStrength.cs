namespace HeadScope;

/// <summary>How a model implements a relation.</summary>
/// <param name="PairsUsed">The number of pairs that were scored.</param>
/// <param name="Strongest">Its strongest head.</param>
/// <param name="StrongestDepth">That head's depth: its layer over the last layer, 0 to 1.</param>
/// <param name="Heads">The number of heads whose score reaches the threshold.</param>
/// <param name="MeanDepth">The mean depth of all heads, weighted with their scores; NaN when all are 0.</param>
public sealed record RelationStrength(int PairsUsed, HeadScore Strongest, double StrongestDepth, int Heads, double MeanDepth)
{
    internal static RelationStrength Of(RelationScores scores, int layers, double threshold)
    {
        double Depth(int layer) => layer / (double)Math.Max(1, layers - 1);
        double weight = 0, weighted = 0;
        var count = 0;
        var strongest = scores.Of(default);
        for (var layer = 0; layer < layers; layer++)
        {
            for (var head = 0; head < scores.HeadCount; head++)
            {
                var score = scores.Of(new Head(layer, head));
                weight += score.Score;
                weighted += score.Score * Depth(layer);
                count += score.Hits > 0 && score.Score >= threshold ? 1 : 0;
                strongest = score.Hits > strongest.Hits ? score : strongest;
            }
        }

        return new RelationStrength(scores.PairsUsed, strongest, Depth(strongest.Head.Layer), count, weighted / weight);
    }
}
