using System.Globalization;
using System.Text;
using System.Text.Json;

namespace HeadScope;

/// <summary>
/// Whether a model needs the heads that implement a relation by their parameters: they are ablated one after the other, strongest first,
/// and the share of prompts answered rightly is measured; beside it random other heads, and the same heads in other tasks (Elhelo &amp;
/// Geva, arXiv 2412.11965, section 4.3). As published, prompts that the model answers wrongly to begin with count as wrong.
/// </summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Relation">The relation.</param>
/// <param name="Template">The prompt that asks for the target.</param>
/// <param name="Kind">What replaces an ablated head's output at the last position.</param>
/// <param name="Prompts">The number of prompts.</param>
/// <param name="RelationHeads">The relation's heads, strongest first; of equal static scores the later head first, as published.</param>
/// <param name="RandomRuns">As many random other heads, several times.</param>
/// <param name="Controls">The tasks that were looked at, in the order drawn.</param>
public sealed record HeadAblation(
    string Model,
    string Relation,
    string Template,
    AblationKind Kind,
    int Prompts,
    AblationRun RelationHeads,
    IReadOnlyList<AblationRun> RandomRuns,
    IReadOnlyList<ControlTask> Controls)
{
    private const float LargestIntersection = 0.15f;
    private const float LargestAccuracyDifference = 0.2f;

    /// <summary>The model's accuracy before any head is ablated.</summary>
    public float BaseAccuracy => RelationHeads.Accuracies[0];

    /// <summary>Ablates the heads of a relation.</summary>
    /// <param name="model">The model; it needs a tokenizer.</param>
    /// <param name="relation">The relation.</param>
    /// <param name="options">How to ablate; null for the published way.</param>
    /// <param name="progress">Is told how many ablations are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The accuracies.</returns>
    /// <exception cref="ArgumentException">There is no template for the relation, it has too few single-token pairs, or no head has a
    /// static score above 0.</exception>
    /// <exception cref="InvalidOperationException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static HeadAblation Run(
        Model model,
        Relation relation,
        AblationOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(relation);
        options ??= new AblationOptions();
        var template = options.Template ?? PromptTemplates.Ablation(relation.Name) ?? throw new ArgumentException(
            $"No prompt ships for the relation '{relation.Name}': name one in AblationOptions.Template, with {PromptTemplates.Placeholder} in the place of the source.",
            nameof(relation));
        PromptTemplates.Require(template);

        var others = (options.Controls ?? Relations.All)
            .Where(r => !string.Equals(r.Name, relation.Name, StringComparison.OrdinalIgnoreCase) && PromptTemplates.Ablation(r.Name) is not null);
        var mapOptions = new HeadMapOptions { K = options.K, MinimumPairs = options.MinimumPairs };
        var scores = HeadMap.Score(model, relation, mapOptions, progress, cancellationToken).Relations[0];
        var heads = Ranked(scores).Take(options.HeadsFor(model.Heads.Count)).Where(s => s.Hits > 0).Select(s => s.Head).ToArray();
        if (heads.Length == 0)
        {
            throw new ArgumentException($"No head of {model.Name} has a static score above 0 for '{relation.Name}': there is nothing to ablate.", nameof(relation));
        }

        var meter = Meter(model, scores.Pairs, template, options, cancellationToken);
        var (done, total) = (0, (heads.Length + 1) * (1 + options.RandomRuns + options.ControlTasks));
        void StateDone() => progress?.Report(new WorkProgress("ablating heads", ++done, total, "ablations"));

        var own = meter.Ablate(heads, StateDone, cancellationToken);
        var random = new Random(options.Seed);
        var runs = new List<AblationRun>();
        for (var run = 0; run < options.RandomRuns; run++)
        {
            Head[] rest = [.. model.Heads.Except(heads)];
            random.Shuffle(rest);
            runs.Add(meter.Ablate([.. rest.Take(heads.Length)], StateDone, cancellationToken));
        }

        var controls = options.ControlTasks == 0
            ? []
            : RunControls(model, [.. others], heads, own.Accuracies[0], random, options, mapOptions, StateDone, cancellationToken);
        progress?.Report(new WorkProgress("ablating heads", total, total, "ablations"));
        return new HeadAblation(model.Name, relation.Name, template, options.Kind, scores.PairsUsed, own, runs, controls);
    }

    /// <summary>Mean and standard deviation of the accuracy over the random runs.</summary>
    /// <param name="heads">After how many heads.</param>
    /// <returns>The mean, and the deviation with n - 1; NaN for fewer than 1 and 2 runs.</returns>
    public (double Mean, double Deviation) RandomAccuracy(int heads)
    {
        var accuracies = RandomRuns.Where(r => r.Accuracies.Count > heads).Select(r => (double)r.Accuracies[heads]).ToArray();
        return (Statistics.Mean(accuracies), Statistics.StandardDeviation(accuracies));
    }

    /// <summary>All runs as CSV: a line for each run and number of ablated heads.</summary>
    /// <returns>The columns run (relation, random 1, …, control NAME), heads_ablated, last_head, accuracy.</returns>
    public string ToCsv()
    {
        IEnumerable<IReadOnlyList<object?>> Rows(string name, AblationRun run) => run.Accuracies.Select((accuracy, count) =>
            (IReadOnlyList<object?>)[name, count, count == 0 ? "" : run.Heads[count - 1].ToString(), accuracy]);
        return CsvTable.Write(
            ["run", "heads_ablated", "last_head", "accuracy"],
            Rows("relation", RelationHeads)
                .Concat(RandomRuns.SelectMany((run, i) => Rows(string.Create(CultureInfo.InvariantCulture, $"random {i + 1}"), run)))
                .Concat(Controls.Where(c => c.Qualifies).SelectMany(c => Rows($"control {c.Relation}", c.Run!))));
    }

    /// <summary>The whole result as JSON.</summary>
    /// <returns>An object with model, relation, template, kind, prompts, relationHeads, randomRuns, controls.</returns>
    public string ToJson()
    {
        static object Written(AblationRun run) => new { heads = run.Heads.Select(h => h.ToString()), accuracies = run.Accuracies };
        return JsonSerializer.Serialize(
            new
            {
                format = "headscope-ablation",
                version = 1,
                model = Model,
                relation = Relation,
                template = Template,
                kind = Kind.ToString().ToLowerInvariant(),
                prompts = Prompts,
                relationHeads = Written(RelationHeads),
                randomRuns = RandomRuns.Select(Written),
                controls = Controls.Select(c => new
                {
                    relation = c.Relation,
                    template = c.Template,
                    headIntersection = c.HeadIntersection,
                    baseAccuracy = float.IsNaN(c.BaseAccuracy) ? (float?)null : c.BaseAccuracy,
                    run = c.Run is null ? null : Written(c.Run),
                }),
            },
            JsonText.Indented);
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Relation} on {Model}: accuracy {BaseAccuracy:0.00}, {RelationHeads.Accuracies[^1]:0.00} without {RelationHeads.Heads.Count} heads");
        if (RandomRuns.Count > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $", {RandomAccuracy(RelationHeads.Heads.Count).Mean:0.00} without as many random heads");
        }

        return text.ToString();
    }

    /// <summary>All heads by static score, strongest first; of equal scores the later head first, as published.</summary>
    internal static IEnumerable<HeadScore> Ranked(RelationScores scores)
    {
        return Enumerable.Range(0, scores.LayerCount * scores.HeadCount)
            .Select(i => scores.Of(new Head(i / scores.HeadCount, i % scores.HeadCount)))
            .OrderByDescending(s => s.Hits)
            .ThenByDescending(s => s.Head);
    }

    private static AccuracyMeter Meter(
        Model model, IReadOnlyList<TokenPair> pairs, string template, AblationOptions options, CancellationToken cancellationToken) => new(
            model,
            HeadScope.Prompts.Of(template, pairs, model.Tokenizer),
            [.. pairs.Select(p => p.TargetToken)],
            options.BatchSize,
            options.Kind,
            cancellationToken);

    private static List<ControlTask> RunControls(
        Model model,
        Relation[] others,
        Head[] heads,
        float accuracy,
        Random random,
        AblationOptions options,
        HeadMapOptions mapOptions,
        Action stateDone,
        CancellationToken cancellationToken)
    {
        TokenRelation[] usable = [.. others.Select(r => TokenRelation.From(r, model.Tokenizer)).Where(r => r.Pairs.Count >= options.MinimumPairs)];
        var tasks = new List<ControlTask>();
        if (usable.Length == 0)
        {
            return tasks;
        }

        var map = HeadMap.Score(model, usable, mapOptions, progress: null, cancellationToken);
        var order = map.Relations.ToArray();
        random.Shuffle(order);
        foreach (var scores in order)
        {
            var template = PromptTemplates.Ablation(scores.Name)!;
            var strongest = Ranked(scores).Take(heads.Length).Where(s => s.Hits > 0).Select(s => s.Head);
            var intersection = heads.Intersect(strongest).Count() / (float)heads.Length;
            if (intersection >= LargestIntersection)
            {
                tasks.Add(new ControlTask(scores.Name, template, intersection, float.NaN, Run: null));
                continue;
            }

            var meter = Meter(model, [.. scores.Pairs.Take(options.ControlPairs ?? scores.PairsUsed)], template, options, cancellationToken);
            var own = meter.Accuracy([], cancellationToken);
            var qualifies = Math.Abs(own - accuracy) < LargestAccuracyDifference;
            tasks.Add(new ControlTask(
                scores.Name, template, intersection, own, qualifies ? meter.Ablate(heads, stateDone, cancellationToken) : null));
            if (tasks.Count(t => t.Qualifies) == options.ControlTasks)
            {
                break;
            }
        }

        return tasks;
    }
}
