namespace HeadScope;

/// <summary>
/// Traces the circuit behind a task (Franco &amp; Crovella, arXiv 2410.00340, section 6):
/// 1. the model is brought into the form in which norms are divisions by one number (<see cref="CircuitModel"/>);
/// 2. all firings in all prompts are found, with the sparse set of singular directions that makes each;
/// 3. from the firings of the root heads the signals are followed to the components that wrote them, layer by layer;
/// 4. the steps are merged over prompts by the role of the token at which they arrive.
/// </summary>
public static class CircuitTracer
{
    /// <summary>Traces a circuit.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts, with their roles.</param>
    /// <param name="options">How to trace; null for the sound defaults.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The circuit; without edges, and with the reason, when no root fires.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or have no answers to choose roots by; a root is not a head of the
    /// model; a role of the options is not one of the prompts'.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static CircuitTrace Trace(
        Model model,
        PromptSet prompts,
        TraceOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new();
        options = options with { RootSource = options.RootSource ?? prompts.RootSource };
        RequireSound(model, prompts, options);
        var folded = CircuitModel.Of(model);
        var omegas = new OmegaCache(folded);
        var roots = options.Roots?.Distinct().ToArray() ?? DirectEffect.Strongest(folded, prompts, options.RootCount, options.BatchSize, cancellationToken);
        var graph = new CircuitGraph(options.Counting);
        var firings = new SortedDictionary<Head, int>();
        var traces = new List<PromptTrace>();
        for (var first = 0; first < prompts.Count; first += options.BatchSize)
        {
            progress?.Report(new("tracing", first, prompts.Count, "prompts"));
            var activations = CircuitActivations.Of(folded, prompts.Prompts, first, options.BatchSize, cancellationToken);
            var found = FiringFinder.Find(
                folded, activations, omegas, new() { PatternThreshold = options.PatternThreshold }, null, cancellationToken);
            foreach (var firing in found)
            {
                firings[firing.Head] = firings.GetValueOrDefault(firing.Head) + 1;
            }

            var upstream = new UpstreamReader(folded, activations, omegas, cancellationToken);
            var byPrompt = found.ToLookup(f => f.Prompt);
            var ofPrompt = new IReadOnlyList<PromptTrace>[activations.Prompts.Count];
            Parallelism.For(
                ofPrompt.Length,
                p => ofPrompt[p] = TracePrompt(upstream, byPrompt[first + p], prompts.Prompts[first + p], roots, options),
                cancellationToken);
            foreach (var trace in ofPrompt.SelectMany(t => t))
            {
                traces.Add(trace);
                graph.Add(trace, prompts.Prompts[trace.Prompt]);
            }
        }

        progress?.Report(new("tracing", prompts.Count, prompts.Count, "prompts"));
        var edges = graph.Edges;
        return new CircuitTrace(
            model.Name, prompts.Name, prompts.Count, options, roots, edges, firings, traces,
            edges.Count > 0 ? null : WhyEmpty(roots, traces, firings, options));
    }

    /// <summary>Traces a circuit on prompts that are drawn for the model: <c>CircuitTracer.Trace(model, Ioi.Prompts(64))</c>.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="task">The task.</param>
    /// <param name="options">How to trace; null for the sound defaults.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The circuit; without edges, and with the reason, when no root fires.</returns>
    /// <exception cref="ArgumentException">No prompts can be drawn, or see the other overload.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static CircuitTrace Trace(
        Model model,
        PromptTask task,
        TraceOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        return Trace(model, task.For(model), options, progress, cancellationToken);
    }

    private static PromptTrace[] TracePrompt(
        UpstreamReader upstream, IEnumerable<Firing> firings, CircuitPrompt prompt, IReadOnlyList<Head> roots, TraceOptions options)
    {
        var walk = new SignalWalk(upstream, firings, options);
        var destination = prompt.PositionOf(options.RootDestination)!.Value;
        var source = options.RootSource is null ? null : prompt.PositionOf(options.RootSource);
        return
        [
            .. roots.SelectMany(root => walk.FiringsOf(root, destination))
                .Where(firing => source is null || firing.Source == source)
                .Select(firing => new PromptTrace(firing.Prompt, firing, walk.From(firing))),
        ];
    }

    private static void RequireSound(Model model, PromptSet prompts, TraceOptions options)
    {
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.RootCount, 1, nameof(options));
        foreach (var role in new[] { options.RootSource, options.RootDestination }.OfType<string>())
        {
            if (prompts.Prompts[0].PositionOf(role) is null)
            {
                throw new ArgumentException(
                    $"The prompts of '{prompts.Name}' have no role {role}; they have "
                    + $"{string.Join(", ", prompts.Prompts[0].Roles.Select(r => r.Key))}.",
                    nameof(options));
            }
        }

        foreach (var root in options.Roots ?? [])
        {
            if (root.Layer < 1 || root.Layer >= model.Config.LayerCount || root.Index < 0 || root.Index >= model.Config.HeadCount)
            {
                throw new ArgumentException(
                    $"Root {root} is not a head that can receive signals: '{model.Name}' has layers 1 to {model.Config.LayerCount - 1} "
                    + $"above the first, with {model.Config.HeadCount} heads each.",
                    nameof(options));
            }
        }
    }

    private static string WhyEmpty(
        IReadOnlyList<Head> roots, List<PromptTrace> traces, SortedDictionary<Head, int> firings, TraceOptions options)
    {
        if (roots.Count == 0)
        {
            return "There are no roots: none are given, or the model has no layer above the first, whose heads could receive signals.";
        }

        var names = string.Join(", ", roots);
        if (traces.Count > 0)
        {
            return $"The roots {names} fire, but no signal arrives at a token with a role.";
        }

        var fired = roots.Sum(root => firings.GetValueOrDefault(root));
        var place = options.RootSource is null ? options.RootDestination : $"{options.RootDestination} → {options.RootSource}";
        return $"No root fires at {place}: {names} fire {fired} times elsewhere, with attention of at least {options.PatternThreshold}.";
    }
}
