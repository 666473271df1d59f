namespace HeadScope;

/// <summary>
/// Which heads of a model implement which relations, from the parameters alone: the static scores of MAPS (Elhelo &amp; Geva,
/// arXiv 2412.11965, section 3). The model's weights are taken as they are; the paper's are those of the checkpoint, without folding.
/// </summary>
/// <param name="Model">The name of the model.</param>
/// <param name="LayerCount">The number of layers.</param>
/// <param name="HeadCount">The number of (query) heads of a layer.</param>
/// <param name="KeyValueHeadCount">The number of key-value heads of a layer; fewer than heads when these share them.</param>
/// <param name="FirstMlp">Whether sources passed the first MLP before heads of layers above 0.</param>
/// <param name="Shard">Which part of the heads was scored, counted from 1.</param>
/// <param name="Relations">The scores by relation, in the order of the relations.</param>
public sealed partial record HeadMap(
    string Model, int LayerCount, int HeadCount, int KeyValueHeadCount, bool FirstMlp, (int Part, int Of) Shard, IReadOnlyList<RelationScores> Relations)
{
    private IReadOnlyList<Unscored> unscored = [];

    /// <summary>Relation scores, [relation, layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor Scores => Stacked(relation => relation.Scores);

    /// <summary>Suppression scores, [relation, layer, head], fp32, 0 to 1; NaN where not scored.</summary>
    public Tensor Suppression => Stacked(relation => relation.Suppression);

    /// <summary>The scores, a row for each relation and head that was scored: relation, category, layer, head, k, pairs, relation_hits,
    /// suppression_hits, relation_score, suppression_score.</summary>
    public DataFrame Table => ResultTable.Of(
        Relations.SelectMany(r => r.Heads, (r, head) => (Relation: r, Score: r.Of(head), Suppression: r.Of(head, suppression: true)))
            .Where(row => row.Score.Hits >= 0),
        row => new
        {
            relation = row.Relation.Name, category = row.Relation.Category, layer = row.Score.Head.Layer, head = row.Score.Head.Index, k = row.Relation.K,
            pairs = row.Score.Pairs, relation_hits = row.Score.Hits, suppression_hits = row.Suppression.Hits,
            relation_score = row.Score.Score, suppression_score = row.Suppression.Score,
        });

    /// <summary>The relations that were not scored, because too few of their pairs are single tokens for this tokenizer: name, category,
    /// pairs_usable, pairs_total, reason.</summary>
    public DataFrame Skipped => ResultTable.Of(
        unscored, s => new { name = s.Name, category = s.Category, pairs_usable = s.Usable, pairs_total = s.Total, reason = s.Reason });

    /// <summary>The scores for one relation.</summary>
    /// <param name="relation">Its name.</param>
    /// <exception cref="ArgumentException">It was not scored; the message lists those that were.</exception>
    public RelationScores this[string relation] =>
        Find(relation) ?? throw new ArgumentException(
            unscored.FirstOrDefault(s => string.Equals(s.Name, relation, StringComparison.OrdinalIgnoreCase)) is { } skipped
                ? $"The relation '{relation}' was skipped: {skipped.Reason}."
                : $"There is no relation '{relation}' in this map. It has: {string.Join(", ", Relations.Select(r => r.Name))}.",
            nameof(relation));

    /// <summary>Scores all heads of a model for relations.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relations">The relations, such as <see cref="HeadScope.Relations.All"/>.</param>
    /// <param name="options">How to score; null for the published way.</param>
    /// <param name="progress">Is told how many heads are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The map.</returns>
    /// <exception cref="ArgumentException">There are no relations, one is empty or stands twice, k is not within 1 to the size of the
    /// vocabulary, there is no such part of the heads, or no relation has enough single-token pairs.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="InvalidDataException">A weight that is needed holds a NaN; the message names it.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadMap Score(
        Model model, IEnumerable<Relation> relations, HeadMapOptions? options = null, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relations);
        return Score(model, [.. relations.Select(r => TokenRelation.From(r, model.Tokenizer))], options, progress, cancellationToken);
    }

    /// <summary>Scores all heads of a model for one relation, such as <see cref="HeadScope.Relations.CountryToCapital"/>.</summary>
    /// <inheritdoc cref="Score(Model, IEnumerable{Relation}, HeadMapOptions?, IProgress{WorkProgress}?, CancellationToken)"/>
    public static HeadMap Score(
        Model model, Relation relation, HeadMapOptions? options = null, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default) =>
        Score(model, [relation], options, progress, cancellationToken);

    /// <summary>Scores all heads for relations in tokens; needs no tokenizer.</summary>
    internal static HeadMap Score(
        Model model, IReadOnlyList<TokenRelation> relations, HeadMapOptions? options = null, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        options ??= new HeadMapOptions();
        RequireSound(model, relations, options);
        var (scored, skipped) = Usable(relations, options.MinimumPairs);
        var (layers, heads) = (model.Config.LayerCount, model.Config.HeadCount);
        var (first, end) = ((int)((options.Shard.Part - 1L) * layers * heads / options.Shard.Of), (int)((long)options.Shard.Part * layers * heads / options.Shard.Of));
        int[] k = [.. scored.Select(r => options.KFor(r.IsCopying, model.Name))];
        TokenPair[] pairs = [.. scored.SelectMany(r => r.Pairs)];

        // An estimate before the first weights are read.
        var weights = model.Net.Unembedding.Weight.Length + model.Net.Blocks.Skip(first / heads).Take(((end - 1) / heads) - (first / heads) + 1)
            .Sum(block => block.Attention.Value.Weight.Length + block.Attention.Output.Weight.Length);
        progress?.Report(new WorkProgress("scoring heads", 0, end - first, "heads", string.Create(
            CultureInfo.InvariantCulture, $"{(end - first) * (long)pairs.Length:n0} pairs at heads, {weights / 1e6:n0} million weights")));
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        long[] sources = [.. pairs.Select(p => (long)p.SourceToken)];
        var embeddings = HeadInputs.Of(model, sources, firstMlp: false);
        var throughMlp = options.FirstMlp && end > heads ? HeadInputs.Of(model, sources, firstMlp: true) : embeddings;
        var hits = HeadHits.Of(
            model, (first, end), [.. pairs.Select(p => (long)p.TargetToken)], [.. scored.SelectMany((r, i) => r.Pairs.Select(_ => (long)k[i]))],
            layer => HeadInputs.Values(model, layer, layer == 0 ? embeddings : throughMlp), progress, cancellationToken);
        var found = new List<RelationScores>();
        for (var (i, pair) = (0, 0); i < scored.Count; pair += scored[i++].Pairs.Count)
        {
            var ofRelation = hits.narrow(3, pair, scored[i].Pairs.Count);
            int[] Counts(int sign) => [.. ofRelation[sign].sum([2]).Copied<int>().Select((count, head) => head >= first && head < end ? count : -1)];
            found.Add(new(
                scored[i], k[i], layers, heads, [Counts(0), Counts(1)], [Examples(ofRelation[0], options.Examples), Examples(ofRelation[1], options.Examples)]));
        }

        return new(model.Name, layers, heads, model.Config.KeyValueHeadCount, options.FirstMlp, options.Shard, found) { unscored = skipped };
    }

    /// <summary>Joins the maps of all parts into the map of the whole, identical to one made at once.</summary>
    /// <param name="parts">The maps of parts 1/n to n/n, in any order.</param>
    /// <returns>The whole map.</returns>
    /// <exception cref="ArgumentException">A part is missing or there twice, or the parts are of different models, relations or
    /// options.</exception>
    public static HeadMap Merge(IEnumerable<HeadMap> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        HeadMap[] all = [.. parts.OrderBy(p => p.Shard.Part)];
        var first = all.FirstOrDefault() ?? throw new ArgumentException("There are no parts to merge.", nameof(parts));
        Array.ForEach(all, part => RequireSame(first, part));
        var wrong = Enumerable.Range(1, Math.Max(all.Length, first.Shard.Of)).Where(i => all.ElementAtOrDefault(i - 1)?.Shard.Part != i).Cast<int?>().FirstOrDefault();
        return wrong is not { } at
            ? first with { Shard = (1, 1), Relations = [.. first.Relations.Select((_, i) => Joined([.. all.Select(p => p.Relations[i])]))] }
            : throw new ArgumentException(
                at > 1 && all.ElementAtOrDefault(at - 1)?.Shard == all[at - 2].Shard ? $"Part {all[at - 1].ShardText} is there twice." : $"Part {Text((at, first.Shard.Of))} is missing.",
                nameof(parts));
    }

    /// <summary>The strongest heads of each relation.</summary>
    /// <param name="count">How many for each relation at most.</param>
    /// <param name="suppression">Whether suppression scores are asked for.</param>
    /// <returns>By relation in order, strongest first.</returns>
    public IReadOnlyList<HeadScore> Top(int count, bool suppression = false) => [.. Relations.SelectMany(r => r.Top(count, suppression))];

    /// <inheritdoc/>
    public override string ToString() => $"{Model}: {Relations.Count} relations over {LayerCount} × {HeadCount} heads";

    private RelationScores? Find(string relation) => Relations.FirstOrDefault(r => string.Equals(r.Name, relation, StringComparison.OrdinalIgnoreCase));

    private Tensor Stacked(Func<RelationScores, Tensor> table)
    {
        using var scope = NewDisposeScope();
        return stack([.. Relations.Select(table)]).MoveToOuterDisposeScope();
    }

    // The first pairs that hit, by head.
    private static Dictionary<Head, int[]> Examples(Tensor hits, int count) => hits.nonzero().Copied<int>().Chunk(3)
        .GroupBy(at => new Head(at[0], at[1])).ToDictionary(at => at.Key, at => at.Select(a => a[2]).Take(count).ToArray());

    private static void RequireSound(Model model, IReadOnlyList<TokenRelation> relations, HeadMapOptions options)
    {
        var (vocabulary, k, shard) = (model.Config.VocabularySize, options.K ?? 1, options.Shard);
        var twice = relations.GroupBy(r => r.Name, StringComparer.OrdinalIgnoreCase).FirstOrDefault(g => g.Count() > 1)?.Key;
        var unknown = relations.SelectMany(r => r.Pairs.SelectMany(p => (int[])[p.SourceToken, p.TargetToken]), (r, token) => (r.Name, Token: token))
            .FirstOrDefault(at => at.Token < 0 || at.Token >= vocabulary);
        Fault.ArgumentIf(relations.Count == 0, $"There are no relations to score.");
        Fault.ArgumentIf(k < 1 || k > vocabulary, $"k is {k}; expected 1 to {vocabulary}, the size of the vocabulary of {model.Name}.");
        Fault.ArgumentIf(shard.Part < 1 || shard.Part > shard.Of, $"There is no part {Text(shard)}: parts are counted from 1/n to n/n.");
        Fault.ArgumentIf(options.Examples < 0, $"{options.Examples} examples are asked for; expected 0 or more.");
        Fault.ArgumentIf(twice is not null, $"The relation '{twice}' is there twice.");
        Fault.ArgumentIf(
            unknown.Name is not null, $"Token {unknown.Token} of relation '{unknown.Name}' is not in the vocabulary of {model.Name}, 0 to {vocabulary - 1}.");
    }

    private static (IReadOnlyList<TokenRelation> Scored, IReadOnlyList<Unscored> Skipped) Usable(IReadOnlyList<TokenRelation> relations, int minimum)
    {
        minimum = Math.Max(1, minimum);
        Unscored[] skipped = [.. relations.Where(r => r.Pairs.Count < minimum).Select(r => (r, all: r.Pairs.Count + r.Skipped.Count)).Select(s => new Unscored(
            s.r.Name, s.r.Category, s.r.Pairs.Count, s.all, $"{s.r.Pairs.Count} of {s.all} pairs are single tokens, at least {minimum} are needed"))];
        Fault.ArgumentIf(
            skipped.Length == relations.Count,
            $"No relation can be scored with this tokenizer: {string.Join("; ", skipped.Select(s => $"{s.Name}: {s.Reason}"))}. "
            + $"Use other words, or lower the minimum number of pairs.");
        return ([.. relations.Where(r => r.Pairs.Count >= minimum)], skipped);
    }

    private static void RequireSame(HeadMap first, HeadMap other)
    {
        static string[] Key(HeadMap map) =>
        [
            $"number of parts {map.Shard.Of}, {map.Model} with {map.LayerCount} × {map.HeadCount} heads, first MLP {(map.FirstMlp ? "on" : "off")}",
            .. map.Relations.SelectMany(r => r.Relation.Pairs.Select(p => $"the pair {p.Source} → {p.Target} of {r.Name}, tokens {p.SourceToken} and {p.TargetToken}")
                .Prepend($"{r.Name} with {r.Relation.Pairs.Count} pairs, k = {r.K}")),
        ];
        var (a, b) = (Key(first), Key(other));
        var at = Enumerable.Range(0, Math.Max(a.Length, b.Length)).FirstOrDefault(
            i => !string.Equals(a.ElementAtOrDefault(i), b.ElementAtOrDefault(i), StringComparison.Ordinal), -1);
        Fault.ArgumentIf(
            at >= 0,
            $"Part {other.ShardText} does not belong to part {first.ShardText}: one has {a.ElementAtOrDefault(at) ?? "no more relations"}, "
            + $"the other {b.ElementAtOrDefault(at) ?? "no more relations"}.");
    }

    // A head that another part scored has -1.
    private static RelationScores Joined(IReadOnlyList<RelationScores> parts)
    {
        var first = parts[0];
        int[] Counts(int sign) => [.. first.Counts[sign].Select((_, head) => parts.Max(part => part.Counts[sign][head]))];
        Dictionary<Head, int[]> Examples(int sign) => parts.SelectMany(p => p.PairsThatHit[sign]).ToDictionary();
        return new(first.Relation, first.K, first.LayerCount, first.HeadCount, [Counts(0), Counts(1)], [Examples(0), Examples(1)]);
    }

    /// <summary>A relation that was not scored.</summary>
    private sealed record Unscored(string Name, string Category, int Usable, int Total, string Reason);
}
