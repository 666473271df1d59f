using System.Numerics.Tensors;

namespace HeadScope;

/// <summary>
/// Tests a circuit by changing its signals (Franco &amp; Crovella, arXiv 2410.00340, section 6). For each edge and prompt in which the
/// receiver fires:
/// 1. what the sender wrote at the token is projected onto the span of the firing's sparse set (u_k on the destination side, v_k on the
///    source side);
/// 2. that projection is removed, boosted or scaled, for all that read it or for the receiver alone;
/// 3. as a control the same is done with as many other directions of the head, drawn at random.
/// </summary>
public static class Interventions
{
    /// <summary>Changes the signals of some edges, all together, and measures what becomes of scores and answers.</summary>
    /// <param name="model">The model, processed or not.</param>
    /// <param name="prompts">The prompts.</param>
    /// <param name="edges">The edges.</param>
    /// <param name="options">How to change them; null to remove them globally.</param>
    /// <param name="progress">Is told how many prompts are done.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    /// <returns>Before, after and control for each prompt.</returns>
    /// <exception cref="ArgumentException">There are no edges; the prompts have no such role; the model has no such head above the sender;
    /// the sender writes nothing that could be changed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static InterventionResult Run(
        Model model,
        PromptSet prompts,
        IReadOnlyList<SignalEdge> edges,
        InterventionOptions? options = null,
        IProgress<WorkProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        var random = new Random(options.Seed);
        return Run(
            model,
            prompts,
            edges,
            options,
            (firing, rank) =>
            {
                int[] others = [.. Enumerable.Range(0, rank).Except(firing.Signal.Directions)];
                random.Shuffle(others);
                return [.. others.Take(firing.Signal.Directions.Count)];
            },
            progress,
            cancellationToken);
    }

    /// <summary>The same with the directions of the control given, by firing and rank; asked for prompt by prompt, edge by edge.</summary>
    internal static InterventionResult Run(
        Model model,
        PromptSet prompts,
        IReadOnlyList<SignalEdge> edges,
        InterventionOptions options,
        Func<Firing, int, IReadOnlyList<int>> controlDirections,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(edges);
        RequireSound(model, prompts, edges, options);
        var folded = CircuitModel.Of(model);
        var omegas = new OmegaCache(folded);
        var results = new List<PromptIntervention>();
        for (var first = 0; first < prompts.Count; first += options.BatchSize)
        {
            progress?.Report(new("intervening", first, prompts.Count, "prompts"));
            var activations = CircuitActivations.Of(folded, prompts.Prompts, first, options.BatchSize, cancellationToken);
            var (signal, control) = Changes(folded, activations, omegas, edges, options, controlDirections, cancellationToken);
            var before = Measure(folded, activations, edges, [], null, options, cancellationToken);
            var after = Measure(folded, activations, edges, signal, before, options, cancellationToken);
            var random = Measure(folded, activations, edges, control, before, options, cancellationToken);
            for (var p = 0; p < activations.Prompts.Count; p++)
            {
                results.Add(new(first + p, signal.Count(c => c.Prompt == p), before.Of[p], after.Of[p], random.Of[p]));
            }
        }

        progress?.Report(new("intervening", prompts.Count, prompts.Count, "prompts"));
        return new InterventionResult(model.Name, edges, options, results);
    }

    private static (List<SignalChange> Signal, List<SignalChange> Control) Changes(
        Model model,
        CircuitActivations activations,
        OmegaCache omegas,
        IReadOnlyList<SignalEdge> edges,
        InterventionOptions options,
        Func<Firing, int, IReadOnlyList<int>> controlDirections,
        CancellationToken cancellationToken)
    {
        var firings = FiringFinder
            .Find(
                model, activations, omegas, new() { PatternThreshold = options.PatternThreshold },
                edges.Select(e => e.Receiver).ToHashSet(), cancellationToken)
            .ToDictionary(f => (f.Prompt, f.Head, f.Destination, f.Source));
        var (signal, control) = (new List<SignalChange>(), new List<SignalChange>());
        for (var p = 0; p < activations.Prompts.Count; p++)
        {
            for (var n = 0; n < edges.Count; n++)
            {
                var edge = edges[n];
                var destination = activations.Prompts[p].PositionOf(edge.DestinationRole)!.Value;
                var source = activations.Prompts[p].PositionOf(edge.SourceRole)!.Value;
                if (!firings.TryGetValue((activations.FirstPrompt + p, edge.Receiver, destination, source), out var firing))
                {
                    continue;
                }

                var omega = omegas.Whole(edge.Receiver, destination, source);
                var position = edge.Side == SignalSide.Destination ? destination : source;
                var written = Written(model, activations, edge, p, position);
                var own = Project(omega, firing.Signal.Directions, edge.Side, written, options.WithConstant);
                var others = Project(omega, controlDirections(firing, omega.Rank), edge.Side, written, options.WithConstant);
                var divisor = options.Scope == InterventionScope.Local && edge.Sender is not null
                    ? activations.Scale(edge.Receiver.Layer, p, position)
                    : 1;
                var change = Change(own, (options.Factor - 1) / divisor);
                var random = Change(others, (options.Factor - 1) / divisor);
                signal.Add(change);
                control.Add(options.EqualNorm ? random.WithNormOf(change) : random);

                SignalChange Change(double[] projection, double factor)
                {
                    var d = model.Config.ModelWidth;
                    var vector = projection.AsSpan(0, d);
                    // The stream is centred where LayerNorm reads it; the mean of a change would be lost there.
                    var mean = model.Config.Norm == NormKind.LayerNorm ? TensorPrimitives.Sum<double>(vector) / d : 0;
                    var added = new float[d];
                    for (var i = 0; i < d; i++)
                    {
                        added[i] = (float)((vector[i] - mean) * factor);
                    }

                    var constant = projection.Length > d && !options.WithConstant ? (float)(projection[d] * factor) : 0;
                    return new(p, n, position, added, constant);
                }
            }
        }

        return (signal, control);
    }

    // Σ_{k in S} u_k (u_k · o), with v_k on the source side; o has a last entry 0, or 1 as published.
    private static double[] Project(Omega omega, IReadOnlyList<int> set, SignalSide side, float[] written, bool withConstant)
    {
        var rows = omega.Directions(side);
        var whole = new double[omega.Width];
        TensorPrimitives.ConvertChecked<float, double>(written, whole);
        if (omega.HasConstant && withConstant)
        {
            whole[^1] = 1;
        }

        var sum = new double[omega.Width];
        foreach (var k in set)
        {
            var direction = rows.Slice(k * omega.Width, omega.Width);
            TensorPrimitives.MultiplyAdd<double>(direction, TensorPrimitives.Dot<double>(direction, whole), sum, sum);
        }

        return sum;
    }

    // What the sender wrote at a token, [d]; without sender the normalised residual, [d], with the constant where the receiver has one.
    private static float[] Written(Model model, CircuitActivations activations, SignalEdge edge, int prompt, int position)
    {
        switch (edge.Sender)
        {
            case null:
                var normalized = activations.Normalized(edge.Receiver.Layer, prompt, position);
                return model.QueryBias(edge.Receiver).IsEmpty && model.KeyBias(edge.Receiver).IsEmpty ? [.. normalized] : [.. normalized, 1];
            case { Kind: ComponentKind.Mlp } mlp:
                return [.. activations.MlpOutput(mlp.Layer, prompt, position)];
            case { Kind: ComponentKind.TokenEmbedding }:
                return [.. activations.Embedding(prompt, position)];
            case { Kind: ComponentKind.PositionEmbedding }:
                return [.. activations.PositionEmbedding(prompt, position)];
            case { } sender:
                var head = new Head(sender.Layer, sender.Index);
                var output = new float[model.Config.ModelWidth];
                MatrixProduct.Multiply(
                    activations.MixedValues(head).SliceRows((prompt * activations.Length) + position, 1),
                    model.OutputWeight(head),
                    new Matrix(output, 1, output.Length));
                return output;
        }
    }

    private static Measured Measure(
        Model model,
        CircuitActivations activations,
        IReadOnlyList<SignalEdge> edges,
        List<SignalChange> changes,
        Measured? before,
        InterventionOptions options,
        CancellationToken cancellationToken)
    {
        var hooks = new Hooks();
        if (options.Scope == InterventionScope.Global)
        {
            foreach (var change in changes)
            {
                hooks.EditNumbers(Place(edges[change.Edge]), context => TensorPrimitives.Add(
                    context.At(change.Prompt, change.Position), change.Vector, context.At(change.Prompt, change.Position)));
            }
        }
        else
        {
            foreach (var layer in changes.GroupBy(change => edges[change.Edge].Receiver.Layer))
            {
                new LocalChange(model, layer.Key, layer.Select(c => (c, edges[c.Edge])), options).AddTo(hooks);
            }
        }

        var places = options.Scope == InterventionScope.Global ? edges.Select(Place).Distinct(StringComparer.Ordinal) : [];
        hooks.Keep([.. places, .. edges.Select(e => ScoresOf(e.Receiver)).Distinct(StringComparer.Ordinal)]);
        using var run = model.Run(
            [.. activations.Prompts.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.LastPosition, cancellationToken: cancellationToken);
        var pass = new MeasuredPass(
            run.TakeLogits(), run.Activations.Keys.ToDictionary(name => name, name => run.Take(name), StringComparer.Ordinal));
        var byPlace = changes.ToDictionary(c => (c.Prompt, c.Edge));
        return new Measured(pass, [.. activations.Prompts.Select((prompt, p) => new InterventionMeasurement(
            LogitDifference(pass, prompt, p),
            [.. edges.Select((_, n) => OfEdge(p, n))]))]);

        EdgeMeasurement OfEdge(int p, int n)
        {
            var edge = edges[n];
            var prompt = activations.Prompts[p];
            var (destination, source) = (prompt.PositionOf(edge.DestinationRole)!.Value, prompt.PositionOf(edge.SourceRole)!.Value);
            var score = pass.Activations[ScoresOf(edge.Receiver)][p, edge.Receiver.Index, destination, source];
            var change = byPlace.GetValueOrDefault((p, n));
            if (change is null || before is null)
            {
                return new(score, 1, 1, 0);
            }

            float[] old, changed;
            if (options.Scope == InterventionScope.Global)
            {
                (old, changed) = (Row(before.Pass), Row(pass));
            }
            else
            {
                old = [.. activations.Normalized(edge.Receiver.Layer, p, change.Position)];
                changed = [.. old];
                TensorPrimitives.Add(changed, change.Vector, changed);
            }

            return new(
                score,
                TensorPrimitives.Norm<float>(changed) / TensorPrimitives.Norm<float>(old),
                TensorPrimitives.CosineSimilarity<float>(changed, old),
                TensorPrimitives.Norm<float>(change.Vector));

            float[] Row(MeasuredPass from) => from.Activations[Place(edge)].AsFlatSpan()
                .Slice(((p * activations.Length) + change.Position) * model.Config.ModelWidth, model.Config.ModelWidth).ToArray();
        }
    }

    private static double LogitDifference(MeasuredPass pass, CircuitPrompt prompt, int index) =>
        prompt is { Answer: { } answer, Distractor: { } distractor }
            ? pass.Logits[index, 0, answer] - (double)pass.Logits[index, 0, distractor]
            : double.NaN;

    private static string ScoresOf(Head head) => $"blocks.{head.Layer}.attn.hook_attn_scores";

    // Where what the sender wrote enters the residual stream.
    private static string Place(SignalEdge edge) => edge.Sender switch
    {
        { Kind: ComponentKind.Head, Layer: var layer } => $"blocks.{layer}.hook_attn_out",
        { Kind: ComponentKind.Mlp, Layer: var layer } => $"blocks.{layer}.hook_mlp_out",
        { Kind: ComponentKind.TokenEmbedding } => "hook_embed",
        _ => "hook_pos_embed",
    };

    private static void RequireSound(
        Model model, PromptSet prompts, IReadOnlyList<SignalEdge> edges, InterventionOptions options)
    {
        prompts.RequireSound(model.Config.ContextLength, model.Config.VocabularySize);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1, nameof(options));
        if (edges.Count == 0)
        {
            throw new ArgumentException("There is no edge to intervene on.", nameof(edges));
        }

        foreach (var edge in edges)
        {
            foreach (var role in new[] { edge.SourceRole, edge.DestinationRole })
            {
                if (prompts.Prompts[0].PositionOf(role) is null)
                {
                    throw new ArgumentException(
                        $"The edge {edge} names the role {role}, which the prompts of '{prompts.Name}' do not have; they have "
                        + $"{string.Join(", ", prompts.Prompts[0].Roles.Select(r => r.Key))}. (A number stands for a token without a role: "
                        + "such an edge differs from prompt to prompt and cannot be changed; trace.Top(n, withRoles: true) leaves these out.)",
                        nameof(edges));
                }
            }

            var (receiver, config) = (edge.Receiver, model.Config);
            if (receiver.Layer < 1 || receiver.Layer >= config.LayerCount || receiver.Index < 0 || receiver.Index >= config.HeadCount
                || (edge.Sender is { Kind: ComponentKind.Head or ComponentKind.Mlp } sender
                    && (sender.Layer < 0 || sender.Layer >= receiver.Layer || sender.Index < 0 || sender.Index >= config.HeadCount)))
            {
                throw new ArgumentException(
                    $"The edge {edge} does not lead upwards to a head of '{model.Name}', which has {config.LayerCount} layers of "
                    + $"{config.HeadCount} heads.",
                    nameof(edges));
            }

            if (edge.Sender is { Kind: ComponentKind.AttentionBias or ComponentKind.Constant }
                || (edge.Sender is null && options.Scope == InterventionScope.Global)
                || (edge.Sender is { Kind: ComponentKind.PositionEmbedding } && !config.LearnedPositions))
            {
                throw new ArgumentException(
                    $"The edge {edge} has no sender that can be changed {options.Scope.ToString().ToLowerInvariant()}ly: expected a head, an "
                    + "MLP or an embedding of the model; or none, for all that is written, with InterventionScope.Local.",
                    nameof(edges));
            }
        }
    }

    private sealed record MeasuredPass(Tensor<float> Logits, IReadOnlyDictionary<string, Tensor<float>> Activations);

    private sealed record Measured(MeasuredPass Pass, IReadOnlyList<InterventionMeasurement> Of);
}
