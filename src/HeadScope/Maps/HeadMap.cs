namespace HeadScope;

/// <summary>
/// Which heads of a model implement which relations, from the parameters alone: the static scores of MAPS (Elhelo &amp; Geva,
/// arXiv 2412.11965, section 3). The model's weights are taken as they are; the paper's are those of the checkpoint, without folding.
/// </summary>
public sealed partial record HeadMap
{
    private HeadMap(
        string model,
        int layerCount,
        int headCount,
        int keyValueHeadCount,
        bool firstMlp,
        Shard shard,
        IReadOnlyList<RelationScores> relations,
        IReadOnlyList<SkippedRelation> skipped)
    {
        Model = model;
        LayerCount = layerCount;
        HeadCount = headCount;
        KeyValueHeadCount = keyValueHeadCount;
        FirstMlp = firstMlp;
        Shard = shard;
        Relations = relations;
        Skipped = skipped;
    }

    /// <summary>The name of the model.</summary>
    public string Model { get; }

    /// <summary>The number of layers.</summary>
    public int LayerCount { get; }

    /// <summary>The number of (query) heads of a layer.</summary>
    public int HeadCount { get; }

    /// <summary>The number of key-value heads of a layer; fewer than <see cref="HeadCount"/> when heads share them.</summary>
    public int KeyValueHeadCount { get; }

    /// <summary>Whether sources passed the first MLP before heads of layers above 0.</summary>
    public bool FirstMlp { get; }

    /// <summary>Which part of the heads was scored.</summary>
    public Shard Shard { get; }

    /// <summary>The scores by relation, in the order of the relations.</summary>
    public IReadOnlyList<RelationScores> Relations { get; }

    /// <summary>The relations that were not scored, with the reason.</summary>
    public IReadOnlyList<SkippedRelation> Skipped { get; }

    /// <summary>The scores for one relation.</summary>
    /// <param name="relation">Its name.</param>
    /// <exception cref="ArgumentException">It was not scored; the message lists those that were.</exception>
    public RelationScores this[string relation] =>
        Relations.FirstOrDefault(r => string.Equals(r.Name, relation, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException(
            Skipped.FirstOrDefault(s => string.Equals(s.Name, relation, StringComparison.OrdinalIgnoreCase)) is { } skipped
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
    /// vocabulary, or no relation has enough single-token pairs.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="InvalidDataException">A weight that is needed holds a NaN; the message names it.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadMap Score(
        Model model,
        IEnumerable<Relation> relations,
        HeadMapOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relations);
        return Score(model, [.. relations.Select(r => TokenRelation.From(r, model.Tokenizer))], options, progress, cancellationToken);
    }

    /// <summary>Scores all heads of a model for one relation.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relation">The relation, such as <see cref="HeadScope.Relations.CountryToCapital"/>.</param>
    /// <param name="options">How to score; null for the published way.</param>
    /// <param name="progress">Is told how many heads are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The map.</returns>
    /// <inheritdoc cref="Score(Model, IEnumerable{Relation}, HeadMapOptions?, IProgress{WorkProgress}?, CancellationToken)" path="/exception"/>
    public static HeadMap Score(
        Model model,
        Relation relation,
        HeadMapOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default) => Score(model, [relation], options, progress, cancellationToken);

    /// <summary>Scores all heads of a model for relations that are given in tokens; needs no tokenizer.</summary>
    /// <param name="model">The model.</param>
    /// <param name="relations">The relations in tokens.</param>
    /// <param name="options">How to score; null for the published way.</param>
    /// <param name="progress">Is told how many heads are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The map.</returns>
    /// <inheritdoc cref="Score(Model, IEnumerable{Relation}, HeadMapOptions?, IProgress{WorkProgress}?, CancellationToken)" path="/exception"/>
    public static HeadMap Score(
        Model model,
        IReadOnlyList<TokenRelation> relations,
        HeadMapOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relations);
        options ??= new HeadMapOptions();
        RequireSound(model, relations, options);
        var (scored, skipped) = Usable(relations, options.MinimumPairs);
        var (firstHead, endHead) = options.Shard.RangeOf(model.Heads.Count);
        Head[] heads = [.. model.Heads.Skip(firstHead).Take(endHead - firstHead)];
        int[] k = [.. scored.Select(r => options.KFor(r.IsCopying, model.Name))];
        (int Relation, int Pair)[] questions = [.. scored.SelectMany((r, i) => r.Pairs.Select((_, pair) => (i, pair)))];
        TokenPair PairOf((int Relation, int Pair) question) => scored[question.Relation].Pairs[question.Pair];
        var vocabulary = new VocabularyRows(model);
        var ranking = new TargetRanking(
            vocabulary,
            TargetQuestions.About(vocabulary, [.. questions.Select(q => PairOf(q).TargetToken)], [.. questions.Select(q => k[q.Relation])]));
        var sources = new StaticValues(model, [.. questions.Select(q => PairOf(q).SourceToken)], options.FirstMlp);
        var hits = new HeadScoring(model, heads, questions.Length, sources.Fill, sharedInGroup: true).Run(ranking, progress, cancellationToken);
        var tallies = scored.Select(_ => new HitTally(model.Config, heads, options.Examples)).ToArray();
        foreach (var hit in hits)
        {
            var (relation, pair) = questions[hit.Pair];
            tallies[relation].Add(hit.Head, pair, hit.IsSuppression);
        }

        return new HeadMap(
            model.Name,
            model.Config.LayerCount,
            model.Config.HeadCount,
            model.Config.KeyValueHeadCount,
            options.FirstMlp,
            options.Shard,
            [.. scored.Select((r, i) => new RelationScores(
                r.Name, r.Category, k[i], r.Pairs, r.Skipped, tallies[i].Relation.Hits, tallies[i].Suppression.Hits, tallies[i].Relation.Examples, tallies[i].Suppression.Examples))],
            skipped);
    }

    /// <summary>Joins the maps of all parts into the map of the whole, identical to one made at once.</summary>
    /// <param name="parts">The maps of parts 1/n to n/n, in any order.</param>
    /// <returns>The whole map.</returns>
    /// <exception cref="ArgumentException">A part is missing or there twice, or the parts are of different models, relations or
    /// options.</exception>
    public static HeadMap Merge(IEnumerable<HeadMap> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        HeadMap[] all = [.. parts.OrderBy(p => p.Shard.Index)];
        if (all.Length == 0)
        {
            throw new ArgumentException("There are no parts to merge.", nameof(parts));
        }

        var first = all[0];
        for (var i = 0; i < all.Length; i++)
        {
            if (all[i].Shard.Count != first.Shard.Count)
            {
                throw new ArgumentException($"Part {all[i].Shard} does not belong to part {first.Shard}: the number of parts differs.", nameof(parts));
            }

            if (i + 1 != all[i].Shard.Index)
            {
                throw new ArgumentException(
                    i > 0 && all[i].Shard == all[i - 1].Shard
                        ? $"Part {all[i].Shard} is there twice."
                        : $"Part {new Shard(i + 1, first.Shard.Count)} is missing.",
                    nameof(parts));
            }

            RequireSame(first, all[i]);
        }

        if (all.Length != first.Shard.Count)
        {
            throw new ArgumentException($"Part {new Shard(all.Length + 1, first.Shard.Count)} is missing.", nameof(parts));
        }

        return new HeadMap(
            first.Model,
            first.LayerCount,
            first.HeadCount,
            first.KeyValueHeadCount,
            first.FirstMlp,
            Shard.Whole,
            [.. first.Relations.Select((_, i) => MergeRelation([.. all.Select(p => p.Relations[i])]))],
            first.Skipped);
    }

    /// <summary>The strongest heads of each relation.</summary>
    /// <param name="count">How many for each relation at most.</param>
    /// <param name="suppression">Whether suppression scores are asked for.</param>
    /// <returns>By relation in order, strongest first.</returns>
    public IReadOnlyList<HeadScore> Top(int count, bool suppression = false) => [.. Relations.SelectMany(r => r.Top(count, suppression))];

    /// <inheritdoc/>
    public override string ToString() => $"{Model}: {Relations.Count} relations over {LayerCount} × {HeadCount} heads";

    private static void RequireSound(Model model, IReadOnlyList<TokenRelation> relations, HeadMapOptions options)
    {
        if (relations.Count == 0)
        {
            throw new ArgumentException("There are no relations to score.", nameof(relations));
        }

        if (options.K is { } k && (k < 1 || k > model.Config.VocabularySize))
        {
            throw new ArgumentException($"k is {k}; expected 1 to {model.Config.VocabularySize}, the size of the vocabulary of {model.Name}.", nameof(options));
        }

        ArgumentOutOfRangeException.ThrowIfNegative(options.Examples, nameof(options));
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var relation in relations)
        {
            if (!names.Add(relation.Name))
            {
                throw new ArgumentException($"The relation '{relation.Name}' is there twice.", nameof(relations));
            }

            foreach (var pair in relation.Pairs)
            {
                var token = Math.Min(pair.SourceToken, pair.TargetToken) < 0
                    ? Math.Min(pair.SourceToken, pair.TargetToken)
                    : Math.Max(pair.SourceToken, pair.TargetToken);
                if (token < 0 || token >= model.Config.VocabularySize)
                {
                    throw new ArgumentException(
                        $"Token {token} of relation '{relation.Name}' is not in the vocabulary of {model.Name}, 0 to {model.Config.VocabularySize - 1}.",
                        nameof(relations));
                }
            }
        }
    }

    private static (IReadOnlyList<TokenRelation> Scored, IReadOnlyList<SkippedRelation> Skipped) Usable(
        IReadOnlyList<TokenRelation> relations, int minimum)
    {
        minimum = Math.Max(1, minimum);
        var skipped = relations.Where(r => r.Pairs.Count < minimum).Select(r => new SkippedRelation(
            r.Name,
            r.Category,
            r.Pairs.Count,
            r.Pairs.Count + r.Skipped.Count,
            $"{r.Pairs.Count} of {r.Pairs.Count + r.Skipped.Count} pairs are single tokens, at least {minimum} are needed")).ToArray();
        return skipped.Length < relations.Count
            ? ([.. relations.Where(r => r.Pairs.Count >= minimum)], skipped)
            : throw new ArgumentException(
                $"No relation can be scored with this tokenizer: {string.Join("; ", skipped.Select(s => $"{s.Name}: {s.Reason}"))}. "
                + "Use other words, or lower the minimum number of pairs.",
                nameof(relations));
    }

    private static void RequireSame(HeadMap first, HeadMap other)
    {
        static string Key(HeadMap map) => string.Join(
            '\n',
            [
                $"{map.Model} with {map.LayerCount} × {map.HeadCount} heads, first MLP {(map.FirstMlp ? "on" : "off")}",
                .. map.Relations.Select(r => $"{r.Name} with {r.PairsUsed} pairs, k = {r.K}"),
            ]);
        var (a, b) = (Key(first).Split('\n'), Key(other).Split('\n'));
        var at = Enumerable.Range(0, Math.Max(a.Length, b.Length)).FirstOrDefault(
            i => i >= a.Length || i >= b.Length || !string.Equals(a[i], b[i], StringComparison.Ordinal), -1);
        if (at >= 0)
        {
            throw new ArgumentException(
                $"Part {other.Shard} does not belong to part {first.Shard}: "
                + $"one has {a.ElementAtOrDefault(at) ?? "no more relations"}, the other {b.ElementAtOrDefault(at) ?? "no more relations"}.");
        }
    }

    private static RelationScores MergeRelation(IReadOnlyList<RelationScores> parts)
    {
        // A head that another part scored has -1.
        int[,] Hits(bool suppression)
        {
            var merged = (int[,])parts[0].Hits(suppression).Clone();
            for (var head = 0; head < merged.Length; head++)
            {
                var (layer, index) = (head / parts[0].HeadCount, head % parts[0].HeadCount);
                merged[layer, index] = parts.Max(part => part.Hits(suppression)[layer, index]);
            }

            return merged;
        }

        static IReadOnlyDictionary<Head, IReadOnlyList<int>> Examples(IEnumerable<IReadOnlyDictionary<Head, IReadOnlyList<int>>> parts) =>
            parts.SelectMany(p => p).ToDictionary();

        var first = parts[0];
        return new RelationScores(
            first.Name,
            first.Category,
            first.K,
            first.Pairs,
            first.SkippedPairs,
            Hits(suppression: false),
            Hits(suppression: true),
            Examples(parts.Select(p => p.RelationExamples)),
            Examples(parts.Select(p => p.SuppressionExamples)));
    }
}
