namespace HeadScope;

/// <summary>
/// What heads do for a relation while the model runs, beside what their parameters say they could do (arXiv 2412.11965, section 4.2).
/// </summary>
/// <param name="Relation">The relation.</param>
/// <param name="Category">Its category.</param>
/// <param name="K">A target counts when it is among the k largest or smallest.</param>
/// <param name="Prompts">The number of prompts of each template.</param>
/// <param name="Static">The static scores.</param>
/// <param name="Templates">The dynamic scores by template.</param>
public sealed record DynamicScores(
    string Relation, string Category, int K, int Prompts, RelationScores Static, IReadOnlyList<TemplateScores> Templates)
{
    /// <summary>Pearson's correlation of static and dynamic scores over heads and templates, as in the paper's table: the static scores
    /// are repeated for each template.</summary>
    /// <param name="context">Whether the dynamic scores are those with context.</param>
    /// <param name="suppression">Whether suppression scores are correlated.</param>
    /// <param name="template">One template alone; null for all.</param>
    /// <returns>r, p, log₁₀ p, and n = templates × heads. NaN when all heads have the same score.</returns>
    public Correlation Correlate(bool context, bool suppression = false, string? template = null)
    {
        var points = Scatter(context, suppression)
            .Where(p => template is null || string.Equals(p.Template, template, StringComparison.Ordinal))
            .ToArray();
        return Statistics.Pearson([.. points.Select(p => (double)p.Static)], [.. points.Select(p => (double)p.Dynamic)]);
    }

    /// <summary>Static and dynamic score of each head under each template.</summary>
    /// <param name="context">Whether the dynamic scores are those with context.</param>
    /// <param name="suppression">Whether suppression scores are asked for.</param>
    /// <returns>The points, by template, then by head.</returns>
    public IReadOnlyList<ScorePoint> Scatter(bool context, bool suppression = false)
    {
        var points = new List<ScorePoint>();
        foreach (var template in Templates)
        {
            var hits = template.Of(context).Counts(suppression);
            for (var layer = 0; layer < Static.LayerCount; layer++)
            {
                for (var index = 0; index < Static.HeadCount; index++)
                {
                    var head = new Head(layer, index);
                    points.Add(new ScorePoint(head, template.Template, Static.Of(head, suppression).Score, hits[layer, index] / (float)Prompts));
                }
            }
        }

        return points;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        System.Globalization.CultureInfo.InvariantCulture,
        $"{Relation}: r = {Correlate(context: false).R:0.00} without context, {Correlate(context: true).R:0.00} with context");
}
