namespace HeadScope;

/// <summary>A traced circuit: who sends which signals to whom, at which tokens, merged over prompts (Franco &amp; Crovella, arXiv 2410.00340, section
/// 6).</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="PromptSet">The name of the prompts.</param>
/// <param name="PromptCount">How many there were.</param>
/// <param name="Options">How it was traced.</param>
/// <param name="Roots">The heads it begins with.</param>
/// <param name="Edges">The edges, in the order in which they were first seen.</param>
/// <param name="Firings">How often each head fired, over all prompts; heads that never did are left out.</param>
/// <param name="EmptyReason">Why there are no edges; null when there are some.</param>
public sealed partial record Circuit(
    string Model, string PromptSet, int PromptCount, TraceOptions Options, IReadOnlyList<Head> Roots, IReadOnlyList<CircuitEdge> Edges,
    IReadOnlyDictionary<Head, int> Firings, string? EmptyReason)
{
    /// <summary>The edges as a table: sender, receiver, role, side, weight, total, count, first_prompt, source_role, destination_role.</summary>
    public DataFrame Table => ResultTable.Of(Edges, e => new
    {
        sender = e.Sender, receiver = e.Receiver, role = e.Role, side = e.Side, weight = e.Weight, total = e.Total, count = e.Count,
        first_prompt = e.FirstPrompt, source_role = e.SourceRole, destination_role = e.DestinationRole,
    });

    /// <summary>The steps of the trace of each root in each prompt, in the order in which they were met, before they are merged: root,
    /// root_destination and root_source say where it began; receiver, destination and source which head fired where; sender, side and value who sent
    /// what of its signal; repeats how often following every way through the trace meets the step.</summary>
    public DataFrame Steps => ResultTable.Of(Walked, s => new
    {
        prompt = s.Root.Prompt, root = s.Root.Head, root_destination = s.Root.Place.Destination, root_source = s.Root.Place.Source,
        receiver = s.Receiver.Head, destination = s.Receiver.Place.Destination, source = s.Receiver.Place.Source,
        sender = s.Sender, side = s.Side, value = s.Value, repeats = s.Repeats,
    });

    internal IReadOnlyList<Step> Walked { get; init; } = [];

    /// <summary>Traces the circuit behind a task: <c>Circuit.Trace(model, Ioi.Prompts(64))</c>.
    /// 1. The model is brought into the form in which norms are divisions by one number (<see cref="Fold"/>);
    /// 2. all firings in all prompts are found;
    /// 3. from those of the root heads the signals, made by the sparse set of singular directions of each firing, are followed to the
    /// components that wrote them, layer by layer;
    /// 4. the steps are merged over prompts by the role of the token at which they arrive.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts, with their roles.</param>
    /// <param name="options">How to trace; null for the sound defaults.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>The circuit; without edges, and with the reason, when no root fires.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, cannot be drawn, or have no answers to choose roots by; a root is not a
    /// head of the model; a role of the options is not one of the prompts'.</exception>
    /// <exception cref="InvalidDataException">A weight is not finite.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Circuit Trace(
        Model model, PromptSet prompts, TraceOptions? options = null, IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        var set = prompts.SoundFor(model);
        options = (options ?? new()).For(model, set);
        using var folded = new FoldedModel(model);
        var roots = options.Roots?.Distinct().ToArray() ?? Strongest(folded.Model, set, options, cancellationToken);
        var firings = new SortedDictionary<Head, int>();
        var walked = new List<Step>();
        foreach (var pass in PromptPass.Over(set, folded, options.BatchSize, "tracing", progress, cancellationToken))
        {
            Fired[] found = [.. Enumerable.Range(1, model.Config.LayerCount - 1).SelectMany(
                layer => pass.Firings(layer, options.PatternThreshold).Select(place => new Fired(pass.First + place.Prompt, layer, place)))];
            foreach (var firing in found)
            {
                firings[firing.Head] = firings.GetValueOrDefault(firing.Head) + 1;
            }

            var walk = new SignalWalk(pass, found, options);
            Fired[] begun = [.. Enumerable.Range(0, pass.Count).SelectMany(p => RootsOf(walk, p, pass.Prompts[p]))];
            walk.Follow(begun, cancellationToken);
            walked.AddRange(begun.SelectMany(walk.From));
        }

        var edges = CircuitEdge.Merge(walked, set, options.CountRepeats);
        var reason = edges.Count > 0 ? null : WhyEmpty(roots, walked.Count > 0, firings, options);
        return new(model.Name, set.Name, set.Count, options, roots, edges, firings, reason) { Walked = walked };

        IEnumerable<Fired> RootsOf(SignalWalk walk, int p, CircuitPrompt prompt)
        {
            var source = options.RootSource is null ? null : prompt.PositionOf(options.RootSource);
            return roots.SelectMany(root => walk.At(p, root, prompt.PositionOf(options.RootDestination)!.Value))
                .Where(firing => source is null || firing.Place.Source == source);
        }
    }

    /// <summary>The model in the form in which circuits are traced: what a norm multiplies and adds is folded into what reads it, so that the
    /// normalised residual stream is a sum of what was written to it, divided by one number. For LayerNorm all four steps of weight processing, as
    /// the authors' code has them; for RMSNorm those that keep its predictions (no centring of what writes).</summary>
    /// <param name="model">The model, processed or not; stays as it is.</param>
    /// <returns>The model after the steps that it has not had; <see cref="Model.Processing"/> lists all.</returns>
    public static Model Fold(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        WeightProcessing[] steps = model.Config.Norm == NormKind.LayerNorm
            ? Enum.GetValues<WeightProcessing>()
            : [WeightProcessing.FoldLayerNorm, WeightProcessing.CenterUnembedding, WeightProcessing.FoldValueBiases];
        return model.With([.. steps.Except(model.Processing)]);
    }

    /// <summary>What each head adds directly to the logit difference between answer and distractor, in the mean over prompts: its output at the
    /// last token, divided by the final norm's scale, times the difference of the two tokens' unembeddings.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts; each needs an answer and a distractor.</param>
    /// <param name="batchSize">How many prompts run at once.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>[layer, head], in logits, fp32.</returns>
    /// <exception cref="ArgumentException">The prompts are not sound, or one has no answer or no distractor.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Tensor DirectEffects(Model model, PromptSet prompts, int batchSize = 32, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchSize, 1);
        var set = prompts.SoundFor(model);
        Fault.ArgumentIf(
            set.Prompts.Any(p => p.Answer is null || p.Distractor is null),
            $"The prompts of '{set.Name}' have no answer and distractor to choose roots by; name the roots in the options.");
        using var folded = new FoldedModel(model);
        var (net, unembedding) = (folded.Model.Net, folded.Model.Net.Unembedding.Weight);
        using var scope = NewDisposeScope();
        var sums = zeros([model.Config.LayerCount, model.Config.HeadCount], float64, model.Device);
        foreach (var batch in set.Prompts.Chunk(batchSize))
        {
            using var inner = NewDisposeScope();
            var hooks = new Hooks().Keep("blocks.*.attn.hook_z", "ln_final.hook_scale");
            var pass = folded.Model.Run([.. batch.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.None, cancellationToken: cancellationToken);
            var length = pass.Lengths.Max();
            var last = tensor([.. batch.Select((p, n) => ((long)n * length) + p.Tokens.Count - 1)], device: model.Device);
            var directions = unembedding.Pick([.. batch.Select(p => (long)p.Answer!)]).sub(unembedding.Pick([.. batch.Select(p => (long)p.Distractor!)]));
            var scales = pass["ln_final.hook_scale"].flatten().index_select(0, last).unsqueeze(1).to(float64);
            for (var layer = 0; layer < model.Config.LayerCount; layer++)
            {
                // Σ z (W_O u): [prompt, head, d_head] with [head, d_head, prompt].
                var z = pass[$"blocks.{layer}.attn.hook_z"].flatten(0, 1).index_select(0, last);
                var read = net.Blocks[layer].Attention.W_O.matmul(directions.t()).permute(2, 0, 1);
                sums[layer].add_(z.mul(read).sum([2]).to(float64).div(scales).sum([0]), Scalars.One);
            }
        }

        return sums.div(Scalars.Of(set.Count)).to(float32).MoveToOuterDisposeScope();
    }

    /// <summary>The edges that carry most over all prompts: strong ones that most prompts show.</summary>
    /// <param name="count">How many.</param>
    /// <param name="withRoles">Whether only edges count that <see cref="Intervention.Run"/> can change, because both tokens of the receiver have
    /// roles (<see cref="CircuitEdge.HasRoles"/>).</param>
    /// <returns>The edges, greatest <see cref="CircuitEdge.Total"/> first.</returns>
    public IReadOnlyList<CircuitEdge> Top(int count, bool withRoles = false) =>
        [.. Edges.Where(e => !withRoles || e.HasRoles).OrderByDescending(e => e.Total).Take(count)];

    /// <summary>The circuit without weak or rare edges.</summary>
    /// <param name="minimumWeight">The least weight to keep.</param>
    /// <param name="minimumCount">The least count to keep.</param>
    /// <returns>The pruned circuit; with the reason when no edge is left.</returns>
    public Circuit Prune(double minimumWeight, int minimumCount = 1)
    {
        CircuitEdge[] kept = [.. Edges.Where(e => e.Weight >= minimumWeight && e.Count >= minimumCount)];
        var reason = kept.Length > 0 || Edges.Count == 0
            ? EmptyReason
            : string.Create(CultureInfo.InvariantCulture, $"None of the {Edges.Count} edges has a weight of {minimumWeight} and a count of {minimumCount} or more.");
        return this with { Edges = kept, EmptyReason = reason };
    }

    /// <inheritdoc/>
    public override string ToString() => EmptyReason
        ?? $"{PromptSet} on {Model}: {Edges.Count} edges from {Edges.Select(e => e.Sender).Distinct(StringComparer.Ordinal).Count()} senders to "
        + $"{Edges.Select(e => (e.Receiver, e.Role)).Distinct().Count()} heads at tokens, {PromptCount} prompts, roots {string.Join(", ", Roots)}";

    // The heads above the first layer with the greatest mean direct effect, greatest first.
    private static Head[] Strongest(Model model, PromptSet prompts, TraceOptions options, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var effects = DirectEffects(model, prompts, options.BatchSize, cancellationToken).Copied<float>();
        return [.. model.Heads.Where(h => h.Layer > 0).OrderByDescending(h => effects[(h.Layer * model.Config.HeadCount) + h.Index]).ThenBy(h => h).Take(options.RootCount)];
    }

    private static string WhyEmpty(IReadOnlyList<Head> roots, bool fire, SortedDictionary<Head, int> firings, TraceOptions options)
    {
        var (names, place) = (string.Join(", ", roots), string.Join(" → ", new[] { options.RootDestination, options.RootSource }.OfType<string>()));
        return fire ? $"The roots {names} fire, but no signal arrives at a token with a role."
            : roots.Count == 0 ? "There are no roots: none are given, or the model has no layer above the first, whose heads could receive signals."
            : string.Create(
                CultureInfo.InvariantCulture,
                $"No root fires at {place}: {names} fire {roots.Sum(root => firings.GetValueOrDefault(root))} times elsewhere, with attention of at least {options.PatternThreshold}.");
    }
}
