using System.Globalization;
using Microsoft.Data.Analysis;
using static TorchSharp.torch;

namespace HeadScope;

/// <summary>
/// What heads do for a relation while the model runs, beside what their parameters say they could do (arXiv 2412.11965, section 4.2).
/// With context, a head is judged by what it writes at the last position of a prompt; without, by what it would write there if all its
/// attention were on the source.
/// </summary>
public sealed record DynamicScores
{
    // By template, [context, sign]: hits of all heads.
    private readonly IReadOnlyList<int[][][]> hits;

    internal DynamicScores(RelationScores staticScores, IReadOnlyList<string> templates, int prompts, IReadOnlyList<int[][][]> hits) =>
        (Static, Templates, Prompts, this.hits) = (staticScores, templates, prompts, hits);

    /// <summary>The static scores.</summary>
    public RelationScores Static { get; }

    /// <summary>The name of the relation.</summary>
    public string Relation => Static.Name;

    /// <summary>The prompts, each with <c>&lt;X&gt;</c> in the place of the source.</summary>
    public IReadOnlyList<string> Templates { get; }

    /// <summary>The number of prompts of each template.</summary>
    public int Prompts { get; }

    /// <summary>Each head's static scores and dynamic scores under each template: template, layer, head, static_score,
    /// score_without_context, score_with_context, and the three of suppression.</summary>
    public DataFrame Table
    {
        get
        {
            var (heads, count) = (Static.Heads.ToArray(), Templates.Count);
            SingleDataFrameColumn Dynamic(string name, bool context, bool suppression) => new(name, Shares(context, suppression));
            SingleDataFrameColumn Repeated(string name, bool suppression) =>
                new(name, Enumerable.Range(0, count).SelectMany(_ => heads.Select(head => Static.Of(head, suppression).Score)));
            return new(
                new StringDataFrameColumn("template", Templates.SelectMany(template => heads.Select(_ => template))),
                new Int32DataFrameColumn("layer", Templates.SelectMany(_ => heads.Select(head => head.Layer))),
                new Int32DataFrameColumn("head", Templates.SelectMany(_ => heads.Select(head => head.Index))),
                Repeated("static_score", suppression: false),
                Dynamic("score_without_context", context: false, suppression: false),
                Dynamic("score_with_context", context: true, suppression: false),
                Repeated("static_suppression", suppression: true),
                Dynamic("suppression_without_context", context: false, suppression: true),
                Dynamic("suppression_with_context", context: true, suppression: true));
        }
    }

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
    public Correlation Correlate(bool context, bool suppression = false, string? template = null)
    {
        double[] scores = [.. Static.Heads.Select(head => (double)Static.Of(head, suppression).Score)];
        var chosen = Templates.Select(t => template is null || string.Equals(t, template, StringComparison.Ordinal)).ToArray();
        return Statistics.Pearson(
            [.. chosen.Where(one => one).SelectMany(_ => scores)],
            [.. Shares(context, suppression).Where((_, i) => chosen[i / scores.Length]).Select(share => (double)share)]);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Relation}: r = {Correlate(context: false).R:0.00} without context, {Correlate(context: true).R:0.00} with context");

    private IEnumerable<int> Counts(bool context, bool suppression) => hits.SelectMany(h => h[context ? 1 : 0][suppression ? 1 : 0]);

    private IEnumerable<float> Shares(bool context, bool suppression) => Counts(context, suppression).Select(count => count / (float)Prompts);
}
