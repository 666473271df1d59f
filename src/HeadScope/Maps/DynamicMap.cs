namespace HeadScope;

/// <summary>
/// Whether heads do during inference what their parameters say: dynamic scores of all heads, beside the static ones (Elhelo &amp; Geva,
/// arXiv 2412.11965, section 4.2).
/// </summary>
/// <param name="Static">The static map of the same relations.</param>
/// <param name="Relations">The dynamic scores by relation.</param>
public sealed record DynamicMap(HeadMap Static, IReadOnlyList<DynamicScores> Relations)
{
    /// <summary>The correlations of static and dynamic scores, a row for each relation: relation, category, prompts, k, n, and r_, p_ and
    /// log10p_ of relation and suppression scores, without and with context.</summary>
    public DataFrame Table
    {
        get
        {
            var columns = from suppression in (bool[])[false, true]
                          from context in (bool[])[false, true]
                          let all = Relations.Select(r => r.Correlate(context, suppression)).ToArray()
                          from part in (IEnumerable<(string Name, Func<Correlation, double> Of)>)[("r", c => c.R), ("p", c => c.PValue), ("log10p", c => c.Log10PValue)]
                          select new DoubleDataFrameColumn(
                              $"{(suppression ? "suppression_" : "")}{part.Name}_{(context ? "with" : "without")}_context", all.Select(part.Of));
            return new(
            [
                .. ResultTable.Of(Relations, r => new
                {
                    relation = r.Relation, category = r.Static.Category, prompts = r.Prompts, k = r.Static.K, n = r.Correlate(context: false).Count,
                }).Columns,
                .. columns,
            ]);
        }
    }

    /// <summary>The scores of one relation.</summary>
    /// <param name="relation">Its name.</param>
    /// <exception cref="ArgumentException">It was not scored.</exception>
    public DynamicScores this[string relation] =>
        Relations.FirstOrDefault(r => string.Equals(r.Relation, relation, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"There is no relation '{relation}' in this map.", nameof(relation));

    /// <summary>Measures static and dynamic scores of all heads.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relations">The relations.</param>
    /// <param name="options">How to score; null for the published way. All heads are scored.</param>
    /// <param name="templates">The prompts, each with <c>&lt;X&gt;</c> in the place of the source; null for
    /// <see cref="HeadScope.Relations.DynamicPrompts"/>.</param>
    /// <param name="batchSize">How many prompts run at a time.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The scores. Relations with too few single-token pairs are in <see cref="HeadMap.Skipped"/>.</returns>
    /// <exception cref="ArgumentException">A template has no place for the source, or as for <see cref="HeadMap"/>.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static DynamicMap Score(
        Model model, IEnumerable<Relation> relations, HeadMapOptions? options = null, IReadOnlyList<string>? templates = null, int batchSize = 32,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        templates ??= HeadScope.Relations.DynamicPrompts;
        Fault.ArgumentIf(templates.Count == 0, $"There are no templates.");
        var map = HeadMap.Score(model, relations, Whole(options), progress, cancellationToken);
        return new DynamicMap(map, [.. map.Relations.Select(scores => Measure(
            model, scores, [.. templates.Select(template => Prompts.Of(template, scores.Relation.Pairs, model.Tokenizer))],
            [.. scores.Relation.Pairs.Select(p => p.TargetToken)], batchSize, progress, cancellationToken))]);
    }

    /// <summary>Measures dynamic scores with sources of several tokens; the source position is the last of them (arXiv 2412.11965,
    /// appendix D). The static scores are those of the relation's single-token pairs.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relation">The relation.</param>
    /// <param name="template">A template that ends with <c>&lt;X&gt;</c>.</param>
    /// <param name="options">How to score; null for the published way. All heads are scored.</param>
    /// <param name="batchSize">How many prompts run at a time.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <exception cref="ArgumentException">The template does not end with the place of the source, or there are no such pairs.</exception>
    public static DynamicScores ScoreSeveralTokens(
        Model model, Relation relation, string template, HeadMapOptions? options = null, int batchSize = 32,
        IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relation);
        var (prompts, targets) = Prompts.OfSeveralTokens(template, relation, model.Tokenizer);
        var map = HeadMap.Score(model, relation, Whole(options), progress, cancellationToken);
        return Measure(model, map.Relations[0], [prompts], targets, batchSize, progress, cancellationToken);
    }

    /// <summary>The correlations as CSV: <see cref="Table"/> below a header.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Relations);

    /// <summary>Measures dynamic scores on prompts that are given in tokens.</summary>
    internal static DynamicScores Measure(
        Model model, RelationScores scores, IReadOnlyList<Prompts> prompts, int[] targets, int batchSize, IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        int[][] Hits(Tensor[] values)
        {
            using var hits = HeadHits.Of(
                model, (0, model.Heads.Count), Array.ConvertAll(targets, t => (long)t), [.. targets.Select(_ => (long)scores.K)],
                layer => values[layer].transpose(0, 1), progress, cancellationToken);
            using var counts = hits.sum([3]);
            return [.. counts.Copied<int>().Chunk(scores.LayerCount * scores.HeadCount)];
        }

        int[][][] OfTemplate(Prompts of)
        {
            using var scope = NewDisposeScope();
            var (outputs, values) = Run(model, of, batchSize, progress, cancellationToken);
            return [Hits(values), Hits(outputs)];
        }

        return new(scores, [.. prompts.Select(p => p.Template)], targets.Length) { Found = [.. prompts.Select(OfTemplate)] };
    }

    // Of a clean run over prompts, by layer: each head's output z at the last position, [prompt, head, d_head], and the value vectors at
    // the source's position, [prompt, key head, d_head]: what z would be with all attention on the source.
    private static (Tensor[] Outputs, Tensor[] Values) Run(
        Model model, Prompts prompts, int batchSize, IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        var layers = Enumerable.Range(0, model.Config.LayerCount).ToArray();
        var (outputs, values) = (Array.ConvertAll(layers, _ => new List<Tensor>()), Array.ConvertAll(layers, _ => new List<Tensor>()));
        for (var first = 0; first < prompts.Tokens.Count; first += batchSize)
        {
            using var scope = NewDisposeScope();
            int[][] batch = [.. prompts.Tokens.Skip(first).Take(batchSize)];
            using var pass = model.Run(batch, new Hooks().Keep("blocks.*.attn.hook_z", "blocks.*.attn.hook_v"), LogitsOf.None, cancellationToken: cancellationToken);
            var longest = batch.Max(tokens => tokens.Length);
            var (last, source) = (Rows(i => batch[i].Length - 1), Rows(i => prompts.SourcePositions[first + i]));
            foreach (var layer in layers)
            {
                outputs[layer].Add(pass[$"blocks.{layer}.attn.hook_z"].flatten(0, 1).index_select(0, last).MoveToOuterDisposeScope());
                values[layer].Add(pass[$"blocks.{layer}.attn.hook_v"].flatten(0, 1).index_select(0, source).MoveToOuterDisposeScope());
            }

            progress?.Report(new WorkProgress($"running '{prompts.Template}'", first + batch.Length, prompts.Tokens.Count, "prompts"));

            Tensor Rows(Func<int, long> position) => tensor([.. batch.Select((_, i) => ((long)i * longest) + position(i))], device: model.Device);
        }

        return (Array.ConvertAll(outputs, parts => cat(parts)), Array.ConvertAll(values, parts => cat(parts)));
    }

    private static HeadMapOptions Whole(HeadMapOptions? options) => options is null or { Shard: (1, 1) }
        ? options ?? new()
        : throw new ArgumentException("Dynamic scores are those of all heads: leave out Shard.", nameof(options));
}
