namespace HeadScope;

/// <summary>
/// Describes heads without a network: looks for simple regularities between the tokens a head amplifies and the tokens it maps them to,
/// and for relations it implements, and measures each. Patterns that are found in few tokens are not named; none is an answer.
/// </summary>
public static class HeadDescriber
{
    private static readonly HashSet<(string, string)> Translations =
    [
        .. Relations.EnglishToFrench.Pairs.Concat(Relations.EnglishToSpanish.Pairs)
            .Select(p => (Words.Folded(p.Source), Words.Folded(p.Target)))
            .Where(p => !string.Equals(p.Item1, p.Item2, StringComparison.Ordinal))
            .SelectMany(p => ((string, string)[])[p, (p.Item2, p.Item1)]),
    ];

    private static readonly (string Name, Func<Pair, bool> Holds)[] Rules =
    [
        ("same token", p => p.SameToken),
        ("same word, leading space changed", p => !p.SameToken && Same(p.Source, p.Target)),
        ("same word, case changed", p => !Same(p.Source, p.Target) && Same(p.FoldedSource, p.FoldedTarget)),
        ("plural of the word", p => EnglishPlural.Is(p.FoldedSource, p.FoldedTarget)),
        ("singular of the word", p => EnglishPlural.Is(p.FoldedTarget, p.FoldedSource)),
        ("suffix added", p => IsPart(p) && p.FoldedTarget.StartsWith(p.FoldedSource, StringComparison.Ordinal)),
        ("prefix added", p => IsPart(p) && p.FoldedTarget.EndsWith(p.FoldedSource, StringComparison.Ordinal)),
        ("first letter", p => IsWord(p.FoldedSource) && Same(p.FoldedTarget, p.FoldedSource[..1])),
        ("last letter", p => IsWord(p.FoldedSource) && Same(p.FoldedTarget, p.FoldedSource[^1..])),
        ("next in a sequence", p => WordSequences.Follows(p.FoldedSource, p.FoldedTarget)),
        ("translation", p => Translations.Contains((p.FoldedSource, p.FoldedTarget))),
        ("another script", p => Words.TryScript(p.Source, out var a) && Words.TryScript(p.Target, out var b) && !Same(a, b)),
        ("same category", p => !Same(p.FoldedSource, p.FoldedTarget) && WordCategories.Share(p.FoldedSource, p.FoldedTarget)),
    ];

    /// <summary>Describes one head.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="head">The head.</param>
    /// <param name="map">The model's head map, for relations; null to score the shipped relations for this head's sake.</param>
    /// <param name="options">When patterns are named; null for the defaults.</param>
    /// <param name="progress">Is told how far the work is.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The description.</returns>
    /// <exception cref="ArgumentException">The model has no such head, or the map is of another model.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadDescription Describe(
        Model model,
        Head head,
        HeadMap? map = null,
        DescriberOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        _ = model.Tokenizer;
        var operations = SalientOperations.Of(model, head, options: null, progress, cancellationToken);
        map ??= HeadMap.Score(
            model, Relations.All, new HeadMapOptions { MinimumPairs = 10 }, progress, cancellationToken);
        return Describe(operations, map, options);
    }

    /// <summary>Describes a head from its salient operations and, for relations, the head map of the same model.</summary>
    /// <param name="operations">The salient operations.</param>
    /// <param name="map">The head map; null when relations do not matter.</param>
    /// <param name="options">When patterns are named; null for the defaults.</param>
    /// <returns>The description.</returns>
    /// <exception cref="ArgumentException">The map is of another model.</exception>
    public static HeadDescription Describe(HeadOperations operations, HeadMap? map = null, DescriberOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(operations);
        options ??= new DescriberOptions();
        if (map is not null && !string.Equals(map.Model, operations.Model, StringComparison.Ordinal))
        {
            throw new ArgumentException($"The head map is of {map.Model}; the operations are of {operations.Model}.", nameof(map));
        }

        var found = Rules.Select(rule => Measure(operations, rule.Name, rule.Holds, options.Evidence))
            .Where(p => p.Matches > 0 && p.Strength >= options.MinimumShare)
            .Concat(map is null ? [] : RelationPatterns(map, operations.Head, options));
        return new HeadDescription(operations.Head, [.. found.OrderByDescending(p => p.Strength)], operations);
    }

    // A rule holds for a source token when it holds for one of its targets.
    private static HeadPattern Measure(HeadOperations operations, string name, Func<Pair, bool> holds, int evidence)
    {
        var matches = operations.Operations
            .Select(o => o.Targets.Select(t => new Pair(o, t)).FirstOrDefault(holds))
            .OfType<Pair>()
            .ToArray();
        return new HeadPattern(
            name,
            matches.Length / (double)Math.Max(1, operations.Operations.Count),
            matches.Length,
            operations.Operations.Count,
            [.. matches.Take(evidence).Select(p => new RelationPair(p.SourceText, p.TargetText))]);
    }

    private static IEnumerable<HeadPattern> RelationPatterns(HeadMap map, Head head, DescriberOptions options)
    {
        foreach (var relation in map.Relations)
        {
            foreach (var suppression in (bool[])[false, true])
            {
                var score = relation.Of(head, suppression);
                if (score.Score >= options.MinimumScore && score.Hits > 0)
                {
                    yield return new HeadPattern(
                        $"{(suppression ? "suppression of" : "relation")} {relation.Name}",
                        score.Score,
                        score.Hits,
                        score.Pairs,
                        [.. relation.Examples(head, suppression).Take(options.Evidence).Select(p => new RelationPair(p.Source, p.Target))]);
                }
            }
        }
    }

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.Ordinal);

    private static bool IsWord(string text) => text.Length > 1 && text.All(char.IsLetter);

    private static bool IsPart(Pair pair) => IsWord(pair.FoldedSource) && pair.FoldedTarget.Length > pair.FoldedSource.Length;

    private sealed class Pair(SalientOperation operation, TokenValue target)
    {
        public bool SameToken { get; } = operation.Token == target.Token;

        public string SourceText { get; } = operation.Text;

        public string TargetText { get; } = target.Text;

        public string Source { get; } = Words.Bare(operation.Text);

        public string Target { get; } = Words.Bare(target.Text);

        public string FoldedSource { get; } = Words.Folded(operation.Text);

        public string FoldedTarget { get; } = Words.Folded(target.Text);
    }
}
