namespace HeadScope;

/// <content>How the changes are made and measured.</content>
public sealed partial record Intervention
{
    /// <summary>The same with the directions of the control given, by firing and rank; asked for prompt by prompt, edge by edge.</summary>
    internal static Intervention RunWith(
        Model model, PromptSet prompts, IReadOnlyList<CircuitEdge> edges, Settings settings, Func<Firing, int, IEnumerable<int>> controlDirections,
        IProgress<WorkProgress>? progress, CancellationToken cancellationToken)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(edges);
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.BatchSize, 1);
        TraceOptions.RequireThreshold(settings.Threshold);
        Fault.ArgumentIf(!double.IsFinite(settings.Factor), $"The factor is {settings.Factor}; expected a number, such as 0 or 2.");
        var set = prompts.SoundFor(model);
        RequireSound(model, set, edges, settings.Local);
        using var folded = new FoldedModel(model);
        using var scope = NewDisposeScope();
        var batches = new List<Tensor[]>();
        foreach (var pass in PromptPass.Over(set, folded, settings.BatchSize, "intervening", progress, cancellationToken))
        {
            var changes = Changes(pass, edges, settings, controlDirections);
            var before = Measure(pass, edges, [], settings, null, cancellationToken);
            var after = Measure(pass, edges, [.. changes.Select(c => (c.Edge, c.Signal))], settings, before.Run, cancellationToken);
            var control = Measure(pass, edges, [.. changes.Select(c => (c.Edge, c.Control))], settings, before.Run, cancellationToken);
            var fired = zeros([pass.Count, edges.Count], @bool, model.Device);
            changes.ForEach(c => fired.select(1, c.Edge).index_fill_(0, c.Signal.Prompts, Scalars.One));
            batches.Add([.. before.Numbers.Select((numbers, i) => stack([numbers, after.Numbers[i], control.Numbers[i]])), fired]);
            Array.ForEach(batches[^1], numbers => numbers.MoveToOuterDisposeScope());
        }

        var all = Enumerable.Range(0, batches[0].Length).Select(i => cat([.. batches.Select(b => b[i])], i < batches[0].Length - 1 ? 1 : 0)).ToArray();
        scope.MoveToOuter(all);
        return new(model.Name, edges, settings.Factor, settings.Local, all[0], all[1], all[2], all[3], all[4], all[5]);
    }

    private static List<(int Edge, EdgeChange Signal, EdgeChange Control)> Changes(
        PromptPass pass, IReadOnlyList<CircuitEdge> edges, Settings settings, Func<Firing, int, IEnumerable<int>> controlDirections)
    {
        var firings = edges.Select(e => e.Receiver.Layer).Distinct().ToDictionary(layer => layer, layer => pass.Firings(layer, settings.Threshold).ToHashSet());
        var fired =
            (from edge in edges.Index()
             let places = pass.Prompts.Select((prompt, p) => PlaceOf(edge.Item, prompt, p)).Where(firings[edge.Item.Receiver.Layer].Contains).ToArray()
             where places.Length > 0
             let signals = new LayerSignals(pass, edge.Item.Receiver.Layer, places)
             select (edge.Index, Edge: edge.Item, Places: places, Signals: signals, Firings: signals.Firings().ToArray())).ToList();

        // The order of the draws is part of what a seed means.
        var rank = pass.Folded.Model.Config.HeadWidth;
        var drawn = fired.SelectMany(f => f.Firings.Select(firing => (f.Index, Firing: firing))).OrderBy(f => f.Firing.Prompt).ThenBy(f => f.Index)
            .ToDictionary(f => (f.Firing.Prompt, f.Index), f => controlDirections(f.Firing, rank).ToArray());
        return fired.ConvertAll(f =>
        {
            var rows = pass.Rows(f.Places, f.Edge.Side);
            var written = Component.Parse(f.Edge.Sender) is { } sender ? pass.Written(sender) : pass.Normalized(f.Edge.Receiver.Layer);
            var along = f.Signals.Project(f.Edge.Side, written.index_select(0, rows), f.Edge.Sender is null || settings.Published);
            var members = tensor(
                [.. f.Firings.SelectMany(firing => Enumerable.Range(0, rank).Select(drawn[(firing.Prompt, f.Index)].Contains))], along.shape, device: along.device);
            var factors = full_like(along.select(1, 0), Scalars.Of(settings.Factor - 1));
            if (settings.Local && f.Edge.Sender is not null)
            {
                factors = factors.div(pass.Scale(f.Edge.Receiver.Layer).index_select(0, rows));
            }

            var (signal, control) = (Change(f.Signals.Sets.Members), Change(members));
            return (f.Index, signal, settings.Published ? control : control.WithNormsOf(signal));

            EdgeChange Change(Tensor directions)
            {
                // The stream is centred where LayerNorm reads it; the mean of a change would be lost there.
                var projection = f.Signals.Combine(f.Edge.Side, along.mul(directions));
                var vectors = projection.narrow(1, 0, written.shape[1]);
                vectors = pass.Folded.Model.Config.Norm == NormKind.LayerNorm ? vectors.sub(vectors.mean([1], keepdim: true)) : vectors;
                var constants = projection.shape[1] > vectors.shape[1] && !settings.Published ? projection.select(1, vectors.shape[1]) : zeros_like(factors);
                return new(pass.Indices(f.Places.Select(p => (long)p.Prompt)), rows, vectors.mul(factors.unsqueeze(1)), constants.mul(factors));
            }
        });
    }

    // A pass with the changes, and what it shows: logit differences [prompt]; scores, norm ratios, cosines and norms of the change [prompt, edge].
    private static (ForwardPass Run, Tensor[] Numbers) Measure(
        PromptPass pass, IReadOnlyList<CircuitEdge> edges, IReadOnlyList<(int Edge, EdgeChange Change)> changes, Settings settings,
        ForwardPass? before, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var (model, hooks) = (pass.Folded.Model, new Hooks().Keep(edges.Select(e => ScoresOf(e.Receiver))));
        foreach (var (edge, change) in settings.Local ? [] : changes)
        {
            hooks.Edit(PlaceOf(edges[edge]), x => x.flatten(0, 1).index_add(0, change.Rows, change.Vectors.to(x.dtype), Scalars.One).view_as(x));
        }

        foreach (var ofHead in settings.Local ? changes.GroupBy(change => edges[change.Edge].Receiver) : [])
        {
            ChangeLocally(hooks, pass, ofHead.Key, [.. ofHead.Select(c => (edges[c.Edge].Side, c.Change))], settings.Published, scope);
        }

        hooks.Keep(settings.Local ? [] : edges.Select(PlaceOf));
        var run = model.Run([.. pass.Prompts.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.LastPosition, cancellationToken: cancellationToken);
        var logits = run.Logits!.flatten().to(float64);
        var differences = where(
            tensor([.. pass.Prompts.Select(p => p is { Answer: not null, Distractor: not null })], device: model.Device),
            Logits(p => p.Answer).sub(Logits(p => p.Distractor)),
            full([pass.Count], Scalars.Of(double.NaN), float64, model.Device));
        var scores = stack([.. edges.Select(edge => pass.At(run[ScoresOf(edge.Receiver)], pass.Prompts.Select((prompt, p) => PlaceOf(edge, prompt, p))).to(float64))], 1);
        var (ratios, cosines, norms) = (ones_like(scores), ones_like(scores), zeros_like(scores));
        foreach (var (n, change) in changes)
        {
            var old = settings.Local ? pass.Normalized(edges[n].Receiver.Layer).index_select(0, change.Rows).to(float64) : Rows(before!);
            var changed = settings.Local ? old.add(change.Vectors, Scalars.One) : Rows(run);
            ratios.select(1, n).index_copy_(0, change.Prompts, changed.norm(1).div(old.norm(1)));
            cosines.select(1, n).index_copy_(0, change.Prompts, nn.functional.cosine_similarity(changed, old, 1));
            norms.select(1, n).index_copy_(0, change.Prompts, change.Norms);

            Tensor Rows(ForwardPass from) => from[PlaceOf(edges[n])].flatten(0, 1).index_select(0, change.Rows).to(float64);
        }

        Tensor[] numbers = [differences, scores, ratios, cosines, norms];
        scope.MoveToOuter([.. numbers, .. run.Activations.Values]);
        return (run, numbers);

        Tensor Logits(Func<CircuitPrompt, int?> token) => logits.index_select(
            0, pass.Indices(pass.Prompts.Select((prompt, p) => ((long)p * model.Config.VocabularySize) + (token(prompt) ?? 0))));
    }

    // Changes what one head reads, and nothing else: in the authors' way query, key and value; else the query on the destination side, the key on the
    // source side. Keys and values may be shared by a group of heads, so they are not touched: scores are corrected by q · Δk, and mixed values by
    // pattern × Δv, which is the same for the head.
    private static void ChangeLocally(
        Hooks hooks, PromptPass pass, Head head, IReadOnlyList<(SignalSide Side, EdgeChange Change)> changes, bool published, DisposeScope owner)
    {
        var (model, start, kept) = (pass.Folded.Model, $"blocks.{head.Layer}.attn.hook_", (Tensor?)null);
        var (attention, shared) = (model.Net.Blocks[head.Layer].Attention, head.Index / model.Config.GroupSize);
        var query = Read(attention.W_Q[head.Index], attention.b_Q?[head.Index], SignalSide.Destination);
        var key = Read(attention.W_K[shared], attention.b_K?[shared], SignalSide.Source);
        var value = Read(attention.W_V[shared], attention.b_V?[shared], null);
        if (attention.Rotary is { } rotary)
        {
            key = rotary.At([.. Enumerable.Range(0, pass.Length).Select(t => (long)t)], 1, model.Device, model.Dtype).Turn(key.unsqueeze(2)).squeeze(2);
        }

        key = key.transpose(1, 2).div(Scalars.Of(Math.Sqrt(model.Config.HeadWidth)));
        hooks.Edit(start + "q", q => Add(q, 2, query))
            .Edit(start + (attention.Rotary is null ? "q" : "rot_q"), q => Keep(q, 2))
            .Edit(start + "attn_scores", scores => Add(scores, 1, kept!.bmm(key)))
            .Edit(start + "pattern", pattern => Keep(pattern, 1))
            .Edit(start + "z", z => Add(z, 2, kept!.bmm(value)));

        // What is added to the head's query, key or value, [prompt, token, d_head].
        Tensor Read(Tensor weight, Tensor? bias, SignalSide? side)
        {
            var sum = zeros([(long)pass.Count * pass.Length, weight.shape[1]], model.Dtype, model.Device);
            foreach (var (_, change) in changes.Where(c => published || c.Side == side))
            {
                var added = change.Vectors.to(model.Dtype).matmul(weight);
                added = bias is null ? added : added.addcmul(change.Constants.to(model.Dtype).unsqueeze(1), bias, Scalars.One);
                sum.index_add_(0, change.Rows, added, Scalars.One);
            }

            return sum.view(pass.Count, pass.Length, -1);
        }

        Tensor Add(Tensor x, int dimension, Tensor more)
        {
            x.select(dimension, head.Index).add_(more, Scalars.One);
            return x;
        }

        Tensor Keep(Tensor x, int dimension)
        {
            owner.Attach(kept = x.select(dimension, head.Index).clone().DetachFromDisposeScope());
            return x;
        }
    }

    private static Place PlaceOf(CircuitEdge edge, CircuitPrompt prompt, int p) =>
        new(p, edge.Receiver.Index, prompt.PositionOf(edge.DestinationRole)!.Value, prompt.PositionOf(edge.SourceRole)!.Value);

    private static string ScoresOf(Head head) => $"blocks.{head.Layer}.attn.hook_attn_scores";

    // Where what the sender wrote enters the residual stream.
    private static string PlaceOf(CircuitEdge edge) => Component.Parse(edge.Sender) switch
    {
        { Kind: ComponentKind.Head, Layer: var layer } => $"blocks.{layer}.hook_attn_out",
        { Kind: ComponentKind.Mlp, Layer: var layer } => $"blocks.{layer}.hook_mlp_out",
        { Kind: ComponentKind.TokenEmbedding } => "hook_embed",
        _ => "hook_pos_embed",
    };

    private static void RequireSound(Model model, PromptSet prompts, IReadOnlyList<CircuitEdge> edges, bool local)
    {
        var config = model.Config;
        Fault.ArgumentIf(edges.Count == 0, $"There is no edge to intervene on.");
        foreach (var edge in edges)
        {
            foreach (var role in new[] { edge.SourceRole, edge.DestinationRole })
            {
                prompts.RequireRole(
                    role,
                    $" The edge {edge} names it. (A number stands for a token without a role: such an edge differs from prompt to prompt and cannot be "
                    + "changed; circuit.Top(n, withRoles: true) leaves these out.)");
            }

            var (receiver, sender) = (edge.Receiver, Component.Parse(edge.Sender));
            Fault.ArgumentIf(
                receiver.Layer < 1 || receiver.Layer >= config.LayerCount || receiver.Index < 0 || receiver.Index >= config.HeadCount
                    || sender?.Layer >= receiver.Layer || sender?.Index >= config.HeadCount,
                $"The edge {edge} does not lead upwards to a head of '{model.Name}', which has {config.LayerCount} layers of {config.HeadCount} heads.");
            Fault.ArgumentIf(
                edge.Sender is null ? !local : sender?.Kind is null or ComponentKind.AttentionBias or ComponentKind.Constant
                    || (sender?.Kind == ComponentKind.PositionEmbedding && !config.LearnedPositions),
                $"The edge {edge} has no sender that can be changed {(local ? "locally" : "globally")}: expected a head, an MLP or an embedding of the "
                + $"model, such as 3.5, mlp 3, embedding; or none, for all that is written, in a local intervention.");
        }
    }

    /// <summary>How signals are changed: what <see cref="Run"/> gets.</summary>
    internal sealed record Settings(double Factor, bool Local, bool Published, double Threshold, int BatchSize);
}

/// <summary>What is added for one edge.</summary>
/// <param name="Prompts">The prompts within the pass, as indices, [change].</param>
/// <param name="Rows">The rows of the tokens, as indices, [change].</param>
/// <param name="Vectors">What is added, [change, d], fp64: globally to what the sender's layer wrote, locally to the normalised residual.</param>
/// <param name="Constants">What is added to the constant 1 behind the normalised residual, [change]; 0 globally and in the published way.</param>
internal sealed record EdgeChange(Tensor Prompts, Tensor Rows, Tensor Vectors, Tensor Constants)
{
    /// <summary>‖Vectors‖, [change].</summary>
    public Tensor Norms => Vectors.norm(1);

    /// <summary>The same changes, as large as others; unchanged where they are zero.</summary>
    public EdgeChange WithNormsOf(EdgeChange others)
    {
        var factors = where(Norms.gt(Scalars.Of(0)), others.Norms.div(Norms), ones_like(Norms));
        return this with { Vectors = Vectors.mul(factors.unsqueeze(1)), Constants = Constants.mul(factors) };
    }
}
