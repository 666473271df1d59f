namespace HeadScope;

/// <summary>
/// Whether a model needs the heads that implement a relation by their parameters: they are ablated one after the other, strongest first,
/// and the share of prompts answered rightly is measured; beside it random other heads, and the same heads in other tasks (Elhelo &amp;
/// Geva, arXiv 2412.11965, section 4.3). As published, prompts that the model answers wrongly to begin with count as wrong.
/// </summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Relation">The relation.</param>
/// <param name="Template">The prompt that asks for the target.</param>
/// <param name="Mean">Whether ablated heads wrote their mean at the last position; else zeros.</param>
/// <param name="Prompts">The number of prompts.</param>
/// <param name="Heads">The relation's heads, strongest first; of equal static scores the later head first, as published.</param>
/// <param name="Accuracies">The model's accuracy after the first 0, 1, 2, … heads are ablated: one more than there are heads.</param>
/// <param name="RandomRuns">As many random other heads, several times.</param>
/// <param name="Controls">Other relations in which the heads were ablated, to see that they are not needed for everything, in the order
/// drawn. A task qualifies when fewer than 0.15 of the heads are also among its own strongest heads and the model's accuracies differ by
/// less than 0.2. BaseAccuracy is NaN when the heads alone ruled it out, Accuracies null when it does not qualify.</param>
public sealed record HeadAblation(
    string Model, string Relation, string Template, bool Mean, int Prompts, IReadOnlyList<Head> Heads, IReadOnlyList<float> Accuracies,
    IReadOnlyList<(IReadOnlyList<Head> Heads, IReadOnlyList<float> Accuracies)> RandomRuns,
    IReadOnlyList<(string Relation, string Template, float HeadIntersection, float BaseAccuracy, IReadOnlyList<float>? Accuracies)> Controls)
{
    private const float LargestIntersection = 0.15f;
    private const float LargestAccuracyDifference = 0.2f;

    /// <summary>The model's accuracy before any head is ablated.</summary>
    public float BaseAccuracy => Accuracies[0];

    /// <summary>All runs, a row for each run and number of ablated heads: run (relation, random 1, …, control NAME), heads_ablated,
    /// last_head, accuracy.</summary>
    public DataFrame Table
    {
        get
        {
            var runs = RandomRuns.Select((run, i) => (Name: $"random {i + 1}", run.Heads, run.Accuracies))
                .Prepend((Name: "relation", Heads, Accuracies))
                .Concat(Controls.Where(c => c.Accuracies is not null).Select(c => (Name: $"control {c.Relation}", Heads, Accuracies: c.Accuracies!)));
            return ResultTable.Of(runs.SelectMany(run => run.Accuracies.Index(), (run, at) => (run.Name, run.Heads, at.Index, at.Item)), row => new
            {
                run = row.Name, heads_ablated = row.Index, last_head = row.Index == 0 ? "" : $"{row.Heads[row.Index - 1]}", accuracy = row.Item,
            });
        }
    }

    /// <summary>Ablates the heads of a relation.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relation">The relation.</param>
    /// <param name="options">How to ablate; null for the published way.</param>
    /// <param name="progress">Is told how many ablations are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The accuracies.</returns>
    /// <exception cref="ArgumentException">There is no template for the relation, it has too few single-token pairs, no head has a
    /// static score above 0, or a number of the options is too small.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadAblation Run(
        Model model, Relation relation, AblationOptions? options = null, IProgress<WorkProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relation);
        options ??= new AblationOptions();
        options.Validate();
        var template = options.Template ?? relation.Prompt ?? throw new ArgumentException(
            $"No prompt ships for the relation '{relation.Name}': name one in AblationOptions.Template or Relation.Prompt, with <X> in the place of the source.",
            nameof(relation));
        HeadScope.Prompts.Require(template);
        foreach (var control in options.Controls ?? [])
        {
            HeadScope.Prompts.Require(control.Prompt ?? template);
        }

        var mapOptions = new HeadMapOptions { K = options.K, MinimumPairs = options.MinimumPairs };
        var scores = HeadMap.Score(model, relation, mapOptions, progress, cancellationToken).Relations[0];
        Head[] heads = Strongest(scores, options.HeadsFor(model.Heads.Count)) is [_, ..] found ? found : throw new ArgumentException(
            $"No head of {model.Name} has a static score above 0 for '{relation.Name}': there is nothing to ablate.", nameof(relation));
        var (done, total) = (0, (heads.Length + 1) * (1 + options.RandomRuns + options.ControlTasks));
        void StateDone() => progress?.Report(new WorkProgress("ablating heads", ++done, total, "ablations"));

        using var meter = Meter(model, scores.Relation.Pairs, template, options, cancellationToken);
        var accuracies = meter.Ablate(heads, StateDone, cancellationToken);
        var random = new Random(options.Seed);
        var runs = new List<(IReadOnlyList<Head>, IReadOnlyList<float>)>();
        for (var run = 0; run < options.RandomRuns; run++)
        {
            Head[] rest = [.. model.Heads.Except(heads)];
            random.Shuffle(rest);
            runs.Add((rest[..Math.Min(heads.Length, rest.Length)], meter.Ablate([.. rest.Take(heads.Length)], StateDone, cancellationToken)));
        }

        Relation[] others = [.. (options.Controls ?? Relations.All).Where(r => !string.Equals(r.Name, relation.Name, StringComparison.OrdinalIgnoreCase))];
        var controls = options.ControlTasks == 0
            ? []
            : RunControls(model, others, heads, accuracies[0], random, options, mapOptions, StateDone, cancellationToken).ToArray();
        progress?.Report(new WorkProgress("ablating heads", total, total, "ablations"));
        return new HeadAblation(model.Name, relation.Name, template, options.Mean, scores.Relation.Pairs.Count, heads, accuracies, runs, controls);
    }

    /// <summary>Mean and standard deviation of the accuracy over the random runs.</summary>
    /// <param name="heads">After how many heads.</param>
    /// <returns>The mean, and the deviation with n - 1; NaN for fewer than 1 and 2 runs.</returns>
    public (double Mean, double Deviation) RandomAccuracy(int heads)
    {
        double[] accuracies = [.. RandomRuns.Where(r => r.Accuracies.Count > heads).Select(r => (double)r.Accuracies[heads])];
        return (Statistics.Mean(accuracies), Statistics.StandardDeviation(accuracies));
    }

    /// <summary>All runs as CSV: <see cref="Table"/> below a header.</summary>
    public string ToCsv() => Table.ToCsv();

    /// <summary>The whole result as JSON.</summary>
    /// <returns>An object with model, relation, template, kind, prompts, relationHeads, randomRuns, controls.</returns>
    public string ToJson()
    {
        static object Told(IReadOnlyList<Head> heads, IReadOnlyList<float> accuracies) => new { heads, accuracies };
        return ResultJson.Write(
            "headscope-ablation",
            new
            {
                model = Model, relation = Relation, template = Template, kind = Mean ? "mean" : "zero", prompts = Prompts,
                relationHeads = Told(Heads, Accuracies),
                randomRuns = RandomRuns.Select(run => Told(run.Heads, run.Accuracies)),
                controls = Controls.Select(c => new
                {
                    relation = c.Relation, template = c.Template, headIntersection = c.HeadIntersection,
                    baseAccuracy = float.IsNaN(c.BaseAccuracy) ? (float?)null : c.BaseAccuracy,
                    run = c.Accuracies is null ? null : Told(Heads, c.Accuracies),
                }),
            },
            indented: true);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Relation} on {Model}: accuracy {BaseAccuracy:0.00}, {Accuracies[^1]:0.00} without {Heads.Count} heads")
        + (RandomRuns.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $", {RandomAccuracy(Heads.Count).Mean:0.00} without as many random heads"))
        + (BaseAccuracy == 0 ? $"; it answers no prompt to begin with, so nothing can be lost: '{Template}' may not be how it would be asked" : "");

    /// <summary>Heads that hit, strongest first; of equal scores the later head first, as published.</summary>
    internal static Head[] Strongest(RelationScores scores, int count) =>
        [.. scores.Heads.Select(head => scores.Of(head)).OrderByDescending(s => s.Hits).ThenByDescending(s => s.Head).Take(count).Where(s => s.Hits > 0).Select(s => s.Head)];

    private static AccuracyMeter Meter(Model model, IReadOnlyList<TokenPair> pairs, string template, AblationOptions options, CancellationToken cancellationToken) =>
        new(model, HeadScope.Prompts.Of(template, pairs, model.Tokenizer), [.. pairs.Select(p => p.TargetToken)], options.BatchSize, options.Mean, cancellationToken);

    private static IEnumerable<(string, string, float, float, IReadOnlyList<float>?)> RunControls(
        Model model, Relation[] others, Head[] heads, float accuracy, Random random, AblationOptions options, HeadMapOptions mapOptions, Action stateDone,
        CancellationToken cancellationToken)
    {
        TokenRelation[] usable =
            [.. others.Where(r => r.Prompt is not null).Select(r => TokenRelation.From(r, model.Tokenizer)).Where(r => r.Pairs.Count >= Math.Max(1, options.MinimumPairs))];
        var order = usable.Length == 0 ? [] : HeadMap.Score(model, usable, mapOptions, progress: null, cancellationToken).Relations.ToArray();
        random.Shuffle(order);
        var qualified = 0;
        foreach (var scores in order.TakeWhile(_ => qualified < options.ControlTasks))
        {
            var template = others.First(r => string.Equals(r.Name, scores.Name, StringComparison.Ordinal)).Prompt!;
            var intersection = heads.Intersect(Strongest(scores, heads.Length)).Count() / (float)heads.Length;
            if (intersection >= LargestIntersection)
            {
                yield return (scores.Name, template, intersection, float.NaN, null);
                continue;
            }

            using var meter = Meter(model, scores.Relation.Pairs, template, options, cancellationToken);
            var own = meter.Accuracy([], cancellationToken);
            var qualifies = Math.Abs(own - accuracy) < LargestAccuracyDifference;
            qualified += qualifies ? 1 : 0;
            yield return (scores.Name, template, intersection, own, qualifies ? meter.Ablate(heads, stateDone, cancellationToken) : null);
        }
    }
}
