namespace HeadScope;

/// <summary>
/// What heads do for a relation while the model runs, beside what their parameters say they could do (arXiv 2412.11965, section 4.2).
/// With context, a head is judged by what it writes at the last position of a prompt; without, by what it would write there if all its
/// attention were on the source.
/// </summary>
/// <param name="Static">The static scores.</param>
/// <param name="Templates">The prompts, each with <c>&lt;X&gt;</c> in the place of the source.</param>
/// <param name="Prompts">The number of prompts of each template.</param>
public sealed record DynamicScores(RelationScores Static, IReadOnlyList<string> Templates, int Prompts)
{
    /// <summary>The name of the relation.</summary>
    public string Relation => Static.Name;

    /// <summary>Each head's static scores and dynamic scores under each template: template, layer, head, static_score,
    /// score_without_context, score_with_context, and the three of suppression.</summary>
    public DataFrame Table
    {
        get
        {
            float[][] shares = [.. from suppression in (bool[])[false, true] from context in (bool[])[false, true] select Shares(context, suppression).ToArray()];
            return ResultTable.Of(Templates.SelectMany(template => Static.Heads, (template, head) => (Template: template, Head: head)).Index(), row => new
            {
                template = row.Item.Template, layer = row.Item.Head.Layer, head = row.Item.Head.Index,
                static_score = Static.Of(row.Item.Head).Score,
                score_without_context = shares[0][row.Index], score_with_context = shares[1][row.Index],
                static_suppression = Static.Of(row.Item.Head, suppression: true).Score,
                suppression_without_context = shares[2][row.Index], suppression_with_context = shares[3][row.Index],
            });
        }
    }

    // By template, context and sign the hits of all heads.
    internal IReadOnlyList<int[][][]> Found { get; init; } = [];

    /// <summary>For each head the number of prompts whose target is among the k largest (or smallest) entries of what it writes,
    /// [template, layer, head], int32.</summary>
    /// <param name="context">Whether the scores with context are asked for.</param>
    /// <param name="suppression">Whether the smallest entries are.</param>
    public Tensor Hits(bool context, bool suppression = false) =>
        tensor([.. Counts(context, suppression)], [Templates.Count, Static.LayerCount, Static.HeadCount]);

    /// <summary>The share of prompts that hit, [template, layer, head], fp32.</summary>
    /// <param name="context">Whether the scores with context are asked for.</param>
    /// <param name="suppression">Whether suppression scores are.</param>
    public Tensor Scores(bool context, bool suppression = false) =>
        tensor([.. Shares(context, suppression)], [Templates.Count, Static.LayerCount, Static.HeadCount]);

    /// <summary>Pearson's correlation of static and dynamic scores over heads and templates, as in the paper's table: the static scores
    /// are repeated for each template.</summary>
    /// <param name="context">Whether the dynamic scores are those with context.</param>
    /// <param name="suppression">Whether suppression scores are correlated.</param>
    /// <param name="template">One template alone; null for all.</param>
    /// <returns>r, p, log₁₀ p, and n = templates × heads. NaN when all heads have the same score.</returns>
    /// <exception cref="ArgumentException">There is no such template.</exception>
    public Correlation Correlate(bool context, bool suppression = false, string? template = null)
    {
        Fault.ArgumentIf(template is not null && !Templates.Contains(template, StringComparer.Ordinal), $"'{template}' is none of the {Templates.Count} templates.");
        double[] scores = [.. Static.Heads.Select(head => (double)Static.Of(head, suppression).Score)];
        var chosen = Templates.Select(t => template is null || string.Equals(t, template, StringComparison.Ordinal)).ToArray();
        return Statistics.Pearson(
            [.. chosen.Where(one => one).SelectMany(_ => scores)],
            [.. Shares(context, suppression).Where((_, i) => chosen[i / scores.Length]).Select(share => (double)share)]);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Relation}: r = {Correlate(context: false).R:0.00} without context, {Correlate(context: true).R:0.00} with context");

    private IEnumerable<int> Counts(bool context, bool suppression) => Found.SelectMany(h => h[context ? 1 : 0][suppression ? 1 : 0]);

    private IEnumerable<float> Shares(bool context, bool suppression) => Counts(context, suppression).Select(count => count / (float)Prompts);
}
