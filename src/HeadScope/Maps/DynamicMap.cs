namespace HeadScope;

/// <summary>
/// Whether heads do during inference what their parameters say: dynamic scores of all heads, beside the static ones (Elhelo &amp; Geva,
/// arXiv 2412.11965, section 4.2). With context, a head is judged by what it writes at the last position of a prompt; without, by what it
/// would write there if all its attention were on the source.
/// </summary>
/// <param name="Static">The static map of the same relations.</param>
/// <param name="Relations">The dynamic scores by relation.</param>
public sealed record DynamicMap(HeadMap Static, IReadOnlyList<DynamicScores> Relations)
{
    /// <summary>The scores of one relation.</summary>
    /// <param name="relation">Its name.</param>
    /// <exception cref="ArgumentException">It was not scored.</exception>
    public DynamicScores this[string relation] =>
        Relations.FirstOrDefault(r => string.Equals(r.Relation, relation, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"There is no relation '{relation}' in this map.", nameof(relation));

    /// <summary>Measures static and dynamic scores of all heads.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relations">The relations.</param>
    /// <param name="options">How to measure; null for the defaults.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The scores. Relations with too few single-token pairs are in <see cref="HeadMap.Skipped"/>.</returns>
    /// <exception cref="ArgumentException">A template has no place for the source, or as for <see cref="HeadMap"/>.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static DynamicMap Score(
        Model model,
        IEnumerable<Relation> relations,
        DynamicOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        options ??= new DynamicOptions();
        if (options.Templates.Count == 0)
        {
            throw new ArgumentException("There are no templates.", nameof(options));
        }

        var map = HeadMap.Score(
            model, relations, new HeadMapOptions { K = options.K, MinimumPairs = options.MinimumPairs }, progress, cancellationToken);
        return new DynamicMap(map, [.. map.Relations.Select(scores => Measure(
            model,
            scores,
            [.. options.Templates.Select(template => Prompts.Of(template, scores.Pairs, model.Tokenizer))],
            [.. scores.Pairs.Select(p => p.TargetToken)],
            options.BatchSize,
            progress,
            cancellationToken))]);
    }

    /// <summary>Measures dynamic scores with sources of several tokens; the source position is the last of them (arXiv 2412.11965,
    /// appendix D). The static scores are those of the relation's single-token pairs.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relation">The relation.</param>
    /// <param name="template">A template that ends with <c>&lt;X&gt;</c>.</param>
    /// <param name="options">How to measure; its templates are not used. Null for the defaults.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The scores.</returns>
    /// <exception cref="ArgumentException">The template does not end with the place of the source, or there are no such pairs.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static DynamicScores ScoreSeveralTokens(
        Model model,
        Relation relation,
        string template,
        DynamicOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relation);
        options ??= new DynamicOptions();
        var pairs = MultiTokenPair.Of(relation, model.Tokenizer);
        if (pairs.Count == 0)
        {
            throw new ArgumentException(
                $"No pair of '{relation.Name}' has a source of several tokens and a target of one for the tokenizer of {model.Name}.", nameof(relation));
        }

        var prompts = Prompts.OfSeveralTokens(template, pairs, model.Tokenizer);
        var map = HeadMap.Score(
            model, relation, new HeadMapOptions { K = options.K, MinimumPairs = options.MinimumPairs }, progress, cancellationToken);
        return Measure(
            model, map.Relations[0], [prompts], [.. pairs.Select(p => p.TargetToken)], options.BatchSize, progress, cancellationToken);
    }

    /// <summary>The correlations as CSV, a line for each relation: r, p-value and n of relation and suppression scores, without and with
    /// context.</summary>
    /// <returns>The columns relation, category, pairs, k, and r_, p_, log10p_ and n of each of the four.</returns>
    public string ToCsv() => CsvTable.Write(
        [
            "relation", "category", "prompts", "k", "n",
            "r_without_context", "p_without_context", "log10p_without_context", "r_with_context", "p_with_context", "log10p_with_context",
            "suppression_r_without_context", "suppression_p_without_context", "suppression_log10p_without_context",
            "suppression_r_with_context", "suppression_p_with_context", "suppression_log10p_with_context",
        ],
        Relations.Select(r =>
        {
            Correlation[] all =
            [
                r.Correlate(context: false), r.Correlate(context: true),
                r.Correlate(context: false, suppression: true), r.Correlate(context: true, suppression: true),
            ];
            return (IReadOnlyList<object?>)
            [
                r.Relation, r.Category, r.Prompts, r.K, all[0].Count,
                .. all.SelectMany(c => (object[])[c.R, c.PValue, c.Log10PValue]),
            ];
        }));

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Relations);

    /// <summary>Measures dynamic scores on prompts that are given in tokens.</summary>
    internal static DynamicScores Measure(
        Model model,
        RelationScores scores,
        IReadOnlyList<Prompts> prompts,
        int[] targets,
        int batchSize,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        var vocabulary = new VocabularyRows(model);
        var ranking = new TargetRanking(vocabulary, TargetQuestions.About(vocabulary, targets, [.. targets.Select(_ => scores.K)]));
        HeadHits Hits(HeadValues values, bool sharedInGroup)
        {
            var tally = new HitTally(model.Config, model.Heads, examples: 0);
            foreach (var hit in new HeadScoring(model, model.Heads, targets.Length, values, sharedInGroup).Run(ranking, progress, cancellationToken))
            {
                tally.Add(hit.Head, hit.Pair, hit.IsSuppression);
            }

            return new HeadHits(tally.Relation.Hits, tally.Suppression.Hits);
        }

        var templates = prompts.Select(p =>
        {
            var activations = PromptActivations.Of(model, p, batchSize, progress, cancellationToken);
            return new TemplateScores(
                p.Template, Hits(activations.Outputs, sharedInGroup: false), Hits(activations.SourceValues, sharedInGroup: true));
        });
        return new DynamicScores(scores.Name, scores.Category, scores.K, targets.Length, scores, [.. templates]);
    }
}
