using TorchSharp;
using static TorchSharp.torch;

namespace HeadScope;

/// <content>How the changes are made and measured.</content>
public sealed partial record Intervention
{
    /// <summary>The same with the directions of the control given, by firing and rank; asked for prompt by prompt, edge by edge.</summary>
    internal static Intervention RunWith(
        Model model,
        PromptSet prompts,
        IReadOnlyList<CircuitEdge> edges,
        Settings settings,
        Func<Firing, int, IEnumerable<int>> controlDirections,
        IProgress<WorkProgress>? progress,
        CancellationToken cancellationToken)
    {
        (progress, cancellationToken) = AmbientWork.Or(progress, cancellationToken);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(edges);
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.BatchSize, 1);
        var set = prompts.SoundFor(model);
        RequireSound(model, set, edges, settings.Local);
        using var folded = new FoldedModel(model);
        var results = new Numbers(set.Count, edges.Count);
        for (var first = 0; first < set.Count; first += settings.BatchSize)
        {
            progress?.Report(new("intervening", first, set.Count, "prompts"));
            using var scope = NewDisposeScope();
            var pass = new PromptPass(folded, set, first, settings.BatchSize, cancellationToken);
            var changes = Changes(pass, edges, settings, controlDirections);
            var before = Measure(pass, edges, [], settings, null, results, Before, cancellationToken);
            Measure(pass, edges, [.. changes.Select(c => (c.Edge, c.Signal))], settings, before, results, After, cancellationToken);
            Measure(pass, edges, [.. changes.Select(c => (c.Edge, c.Control))], settings, before, results, Control, cancellationToken);
        }

        progress?.Report(new("intervening", set.Count, set.Count, "prompts"));
        return results.Of(model.Name, edges, settings);
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
        var drawn = new Dictionary<(int Prompt, int Edge), int[]>();
        foreach (var (firing, edge, signals) in fired.SelectMany(f => f.Firings.Select(firing => (firing, f.Index, f.Signals))).OrderBy(f => f.firing.Prompt).ThenBy(f => f.Index))
        {
            drawn[(firing.Prompt, edge)] = [.. controlDirections(firing, (int)signals.Contributions.shape[1])];
        }

        return fired.ConvertAll(f =>
        {
            var rows = pass.Rows(f.Places, f.Edge.Side);
            var written = f.Edge.Sender is null
                ? pass.Normalized(f.Edge.Receiver.Layer)
                : pass.Written(Component.TryParse(f.Edge.Sender, out var sender) ? sender : default);
            var along = f.Signals.Project(f.Edge.Side, written.index_select(0, rows), f.Edge.Sender is null || settings.Published);
            var members = tensor(
                [.. f.Firings.SelectMany(firing => Enumerable.Range(0, (int)along.shape[1]).Select(drawn[(firing.Prompt, f.Index)].Contains))],
                [f.Firings.Length, along.shape[1]],
                device: along.device);
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
                return new(rows, vectors.mul(factors.unsqueeze(1)), constants.mul(factors));
            }
        });
    }

    // A pass with the changes; what it shows goes into the results. The activations are the caller's scope's.
    private static ForwardPass Measure(
        PromptPass pass,
        IReadOnlyList<CircuitEdge> edges,
        IReadOnlyList<(int Edge, EdgeChange Change)> changes,
        Settings settings,
        ForwardPass? before,
        Numbers results,
        int state,
        CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var (model, hooks) = (pass.Folded.Model, new Hooks());
        if (!settings.Local)
        {
            foreach (var (edge, change) in changes)
            {
                hooks.Edit(PlaceOf(edges[edge]), x => x.flatten(0, 1).index_add(0, change.Rows, change.Vectors.to(x.dtype), Scalars.One).view_as(x));
            }

            hooks.Keep(edges.Select(PlaceOf));
        }
        else
        {
            foreach (var layer in changes.GroupBy(change => edges[change.Edge].Receiver.Layer))
            {
                new LocalChange(
                    model, layer.Key, layer.Select(c => (edges[c.Edge], c.Change)), settings.Published, (pass.Count, pass.Length), scope).AddTo(hooks);
            }
        }

        hooks.Keep(edges.Select(e => ScoresOf(e.Receiver)));
        var run = model.Run([.. pass.Prompts.Select(p => p.Tokens.ToArray())], hooks, LogitsOf.LastPosition, cancellationToken: cancellationToken);
        var answered = pass.Prompts.Index().Where(p => p.Item is { Answer: not null, Distractor: not null }).ToArray();
        var logits = run.Logits!.flatten().to(float64);
        var differences = Logits(p => p.Answer!.Value).sub(Logits(p => p.Distractor!.Value)).Copied<double>();
        foreach (var (at, p) in answered.Select((p, at) => (at, p.Index)))
        {
            results.LogitDifferences[results.At(state, pass.First + p)] = differences[at];
        }

        foreach (var (n, edge) in edges.Index())
        {
            var scores = pass.At(run[ScoresOf(edge.Receiver)], pass.Prompts.Select((prompt, p) => PlaceOf(edge, prompt, p))).Copied<double>();
            foreach (var (p, score) in scores.Index())
            {
                results.Scores[results.At(state, pass.First + p, n)] = score;
            }
        }

        foreach (var (n, change) in before is null ? [] : changes)
        {
            var (old, changed) = settings.Local
                ? (pass.Normalized(edges[n].Receiver.Layer).index_select(0, change.Rows).to(float64), change.Vectors)
                : (Rows(before!), Rows(run));
            changed = settings.Local ? old.add(changed, Scalars.One) : changed;
            var (ratios, cosines, norms) = (changed.norm(1).div(old.norm(1)), nn.functional.cosine_similarity(changed, old, 1), change.Norms);
            var (allRatios, allCosines, allNorms) = (ratios.Copied<double>(), cosines.Copied<double>(), norms.Copied<double>());
            foreach (var (at, row) in change.Rows.Copied<int>().Index())
            {
                var p = pass.First + (row / pass.Length);
                var to = results.At(state, p, n);
                results.Fired[results.At(0, p, n)] = true;
                (results.NormRatios[to], results.Cosines[to], results.ChangeNorms[to]) = (allRatios[at], allCosines[at], allNorms[at]);
            }

            Tensor Rows(ForwardPass from) => from[PlaceOf(edges[n])].flatten(0, 1).index_select(0, change.Rows).to(float64);
        }

        scope.MoveToOuter(run.Activations.Values);
        return run;

        Tensor Logits(Func<CircuitPrompt, int> token) => logits.index_select(
            0, pass.Indices(answered.Select(p => ((long)p.Index * model.Config.VocabularySize) + token(p.Item))));
    }

    private static Place PlaceOf(CircuitEdge edge, CircuitPrompt prompt, int p) =>
        new(p, edge.Receiver.Index, prompt.PositionOf(edge.DestinationRole)!.Value, prompt.PositionOf(edge.SourceRole)!.Value);

    private static string ScoresOf(Head head) => $"blocks.{head.Layer}.attn.hook_attn_scores";

    // Where what the sender wrote enters the residual stream.
    private static string PlaceOf(CircuitEdge edge) => Component.TryParse(edge.Sender, out var sender) ? sender.Kind switch
    {
        ComponentKind.Head => $"blocks.{sender.Layer}.hook_attn_out",
        ComponentKind.Mlp => $"blocks.{sender.Layer}.hook_mlp_out",
        ComponentKind.TokenEmbedding => "hook_embed",
        _ => "hook_pos_embed",
    } : "";

    private static void RequireSound(Model model, PromptSet prompts, IReadOnlyList<CircuitEdge> edges, bool local)
    {
        if (edges.Count == 0)
        {
            throw new ArgumentException("There is no edge to intervene on.", nameof(edges));
        }

        var config = model.Config;
        foreach (var edge in edges)
        {
            foreach (var role in new[] { edge.SourceRole, edge.DestinationRole })
            {
                prompts.RequireRole(
                    role,
                    $" The edge {edge} names it. (A number stands for a token without a role: such an edge differs from prompt to prompt and cannot be "
                    + "changed; circuit.Top(n, withRoles: true) leaves these out.)");
            }

            var (receiver, known) = (edge.Receiver, Component.TryParse(edge.Sender, out var sender));
            if (receiver.Layer < 1 || receiver.Layer >= config.LayerCount || receiver.Index < 0 || receiver.Index >= config.HeadCount
                || (known && (sender.Layer >= receiver.Layer || sender.Index >= config.HeadCount)))
            {
                throw new ArgumentException(
                    $"The edge {edge} does not lead upwards to a head of '{model.Name}', which has {config.LayerCount} layers of {config.HeadCount} heads.",
                    nameof(edges));
            }

            if (edge.Sender is null ? !local : !known || sender.Kind is ComponentKind.AttentionBias or ComponentKind.Constant
                || (sender.Kind == ComponentKind.PositionEmbedding && !config.LearnedPositions))
            {
                throw new ArgumentException(
                    $"The edge {edge} has no sender that can be changed {(local ? "locally" : "globally")}: expected a head, an MLP or an embedding of the "
                    + "model, such as 3.5, mlp 3, embedding; or none, for all that is written, in a local intervention.",
                    nameof(edges));
            }
        }
    }

    /// <summary>How signals are changed: what <see cref="Run"/> gets.</summary>
    internal sealed record Settings(double Factor, bool Local, bool Published, double Threshold, int BatchSize);

    // The results while they are measured; by state, prompt and edge.
    private sealed class Numbers(int prompts, int edges)
    {
        public double[] LogitDifferences { get; } = Filled(3 * prompts, double.NaN);

        public double[] Scores { get; } = Filled(3 * prompts * edges, 0);

        public double[] NormRatios { get; } = Filled(3 * prompts * edges, 1);

        public double[] Cosines { get; } = Filled(3 * prompts * edges, 1);

        public double[] ChangeNorms { get; } = Filled(3 * prompts * edges, 0);

        public bool[] Fired { get; } = new bool[prompts * edges];

        public int At(int state, int prompt) => (state * prompts) + prompt;

        public int At(int state, int prompt, int edge) => (At(state, prompt) * edges) + edge;

        public Intervention Of(string model, IReadOnlyList<CircuitEdge> those, Settings settings)
        {
            long[] shape = [3, prompts, edges];
            return new(
                model, those, settings.Factor, settings.Local, tensor(LogitDifferences, [3, prompts]), tensor(Scores, shape), tensor(NormRatios, shape),
                tensor(Cosines, shape), tensor(ChangeNorms, shape), tensor(Fired, [prompts, edges]));
        }

        private static double[] Filled(int count, double value) => [.. Enumerable.Repeat(value, count)];
    }
}

/// <summary>What is added for one edge.</summary>
/// <param name="Rows">The rows of the tokens, as indices, [change].</param>
/// <param name="Vectors">What is added, [change, d], fp64: globally to what the sender's layer wrote, locally to the normalised residual.</param>
/// <param name="Constants">What is added to the constant 1 behind the normalised residual, [change]; 0 globally and in the published way.</param>
internal sealed record EdgeChange(Tensor Rows, Tensor Vectors, Tensor Constants)
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
