using FsCheck;
using FsCheck.Fluent;
using static TorchSharp.torch;

namespace HeadScope.Tests;

/// <summary>What holds for any input.</summary>
public class CircuitPropertyTests
{
    private static readonly string[] Families = ["demo", "rotary", "parallel"];
    private static readonly Dictionary<string, Model> Models = Families.ToDictionary(name => name, name => TinyModels.Load(name));

    [Fact]
    public void A_sparse_set_is_the_shortest_leading_part_that_exceeds_the_score() =>
        Prop.ForAll(Gen.Choose(-1000, 1000).NonEmptyListOf().ToArbitrary(), draw =>
        {
            double[] contributions = [.. draw.Select(v => v / 100.0)];
            var set = CircuitsUnderTest.SparseSetOf(contributions);
            var own = set.Directions.Select(k => contributions[k]).ToList();
            var sign = set.Score > 0 ? 1 : -1;
            return set.Directions.Distinct().Count() == own.Count
                && Math.Abs(set.Score - contributions.Sum()) < 1e-9
                && own.Zip(own.Skip(1)).All(pair => sign * pair.First >= sign * pair.Second)
                && contributions.Where((_, k) => !set.Directions.Contains(k)).All(c => sign * c <= sign * own[^1])
                && (set.Solved ? sign * (set.Score - own.Sum()) < 0 : own.Count == contributions.Length)
                && (set.Score <= 0 || !set.Solved || own.All(c => c > 0))
                && (set.Score == 0 || own.SkipLast(1).Sum() / set.Score <= 1 + 1e-12);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Residuals_that_do_not_pair_are_refused()
    {
        using var scope = NewDisposeScope();
        var omega = Omega.Of(Circuit.Fold(Models["rotary"]), new(1, 0));
        Assert.Equal([4, 8], omega.Contributions(ones(4, 24), ones(24)).shape);
        Assert.Equal([3, 4, 8], omega.Contributions(ones(3, 1, 24), ones(4, 24)).shape);
        Assert.Contains("[5, 24]", Assert.Throws<ArgumentException>(() => omega.Contributions(ones(5, 24), ones(4, 24))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Omega_is_the_product_of_its_factors_in_orthonormal_directions()
    {
        foreach (var (name, family) in Models)
        {
            using var scope = NewDisposeScope();
            var model = Circuit.Fold(family);
            foreach (var head in model.Heads)
            {
                foreach (var distance in name == "demo" ? new[] { 0 } : [0, 1, 5])
                {
                    var omega = Omega.Of(model, head, distance);
                    var (s, u, v) = (omega.S.Values<double>(), omega.U, omega.V);
                    Assert.Equal((head, distance, model.Config.Norm == NormKind.LayerNorm), (omega.Head, omega.RelativePosition, omega.HasConstant));
                    Assert.Equal(s.OrderDescending(), s);
                    Assert.True(s[^1] >= 0);
                    AssertClose(eye(s.Length, dtype: float64), u.t().matmul(u), 1e-12);
                    AssertClose(eye(s.Length, dtype: float64), v.t().matmul(v), 1e-12);
                    AssertClose(Product(model, head, distance), u.mul(omega.S).matmul(v.t()), 1e-11 * s[0]);
                }
            }
        }

        // [W_Q; b_Q] R(-Δ) [W_K; b_K]ᵀ, written out.
        static Tensor Product(Model model, Head head, int distance)
        {
            var attention = model.Net.Blocks[head.Layer].Attention;
            var (query, key) = (attention.W_Q[head.Index].to(float64), attention.W_K[head.Index / model.Config.GroupSize].to(float64));
            if (attention.b_Q is { } bias)
            {
                query = cat([query, bias[head.Index].to(float64).unsqueeze(0)]);
                key = cat([key, attention.b_K![head.Index].to(float64).unsqueeze(0)]);
            }

            var width = model.Config.HeadWidth;
            var turn = eye(width, dtype: float64);
            for (var pair = 0; pair < (model.Config.Rotary?.Dimensions ?? 0) / 2; pair++)
            {
                var (sin, cos, other) = (Math.Sin(distance * model.Config.Rotary!.Frequency(pair)), Math.Cos(distance * model.Config.Rotary!.Frequency(pair)), pair + (model.Config.Rotary!.Dimensions / 2));
                (turn[pair, pair], turn[other, other], turn[pair, other], turn[other, pair]) = (tensor(cos), tensor(cos), tensor(sin), tensor(-sin));
            }

            return query.matmul(turn).matmul(key.t());
        }

        static void AssertClose(Tensor expected, Tensor found, double tolerance)
        {
            Assert.Equal(expected.shape, found.shape);
            Assert.True(expected.sub(found).abs().max().item<double>() <= tolerance);
        }
    }

    [Fact]
    public void Contributions_of_all_directions_are_the_attention_score() => ForFirings(2, (model, prompts, firings) =>
    {
        var pass = ModelUnderTest.Run(model, [.. prompts.Prompts.Select(p => p.Tokens.ToArray())], "blocks.*.attn.hook_attn_scores");
        var circuits = new CircuitsUnderTest(model, prompts);
        return firings.All(firing =>
            Near(firing.Score / Math.Sqrt(model.Config.HeadWidth), pass[$"blocks.{firing.Head.Layer}.attn.hook_attn_scores"][firing.Prompt, firing.Head.Index, firing.Destination, firing.Source])
            && Near(firing.Score, circuits.Contributions(firing).Sum()));
    });

    [Fact]
    public void Contributions_of_parts_of_a_residual_add_up_to_those_of_the_whole() => ForFirings(1, (model, prompts, firings) =>
    {
        using var scope = NewDisposeScope();
        var (folded, circuits) = (Circuit.Fold(model), new CircuitsUnderTest(model, prompts));
        return firings.Take(10).All(firing =>
        {
            var omega = Omega.Of(folded, firing.Head, firing.Destination - firing.Source);
            var destination = tensor(circuits.Normalized(firing.Head.Layer, firing.Prompt, firing.Destination)).to(float64);
            var source = tensor(circuits.Normalized(firing.Head.Layer, firing.Prompt, firing.Source)).to(float64);

            // Three vectors that add up to the source, the constant with the last of them.
            var parts = stack([source.mul(0.3), source.sub(1), source.mul(-0.3).add(1)]);
            parts = omega.HasConstant ? cat([parts, tensor(new[] { 0.0, 0, 1 }).unsqueeze(1)], 1) : parts;
            var (whole, split) = (omega.Contributions(destination, source), omega.Contributions(destination, parts));
            return split.shape is [3, var rank] && rank == model.Config.HeadWidth && split.sum([0]).sub(whole).abs().max().item<double>() < 1e-9 * Math.Max(1, firing.Score);
        });
    });

    [Fact]
    public void Upstream_parts_are_the_projection_of_the_normalised_residual() => ForFirings(2, (model, prompts, firings) =>
    {
        var circuits = new CircuitsUnderTest(model, prompts);
        return Upstream.Of(model, prompts, [.. firings.Take(20)]).SelectMany(both => new[] { both.Source, both.Destination }).All(upstream =>
        {
            using var scope = NewDisposeScope();
            var projection = CircuitsUnderTest.Along(
                circuits.SignalOf(upstream.Firing, upstream.Side), circuits.Normalized(upstream.Firing.Head.Layer, upstream.Firing.Prompt, upstream.Position));
            var perHead = upstream.PerSourceToken.sum([2]);
            return Near(projection, upstream.Total)
                && Near(projection, upstream.Table.Rows.Sum(row => (double)row["part"]))
                && model.Heads.Where(h => h.Layer < upstream.Firing.Head.Layer).All(h => Near(upstream[$"{h}"], perHead[h.Layer, h.Index].item<double>()));
        });
    });

    [Fact]
    public void Removing_all_directions_of_a_firing_leaves_the_remainder() => ForFirings(2, (model, prompts, firings) =>
        firings.Take(6).All(firing => new[] { SignalSide.Source, SignalSide.Destination }.All(side =>
        {
            var edge = new CircuitEdge(null, firing.Head, side, $"t{firing.Source}", $"t{firing.Destination}");
            var result = Intervention.Run(model, prompts, [edge], local: true, patternThreshold: Threshold);
            return Near(firing.Remainder / Math.Sqrt(model.Config.HeadWidth), result.Scores[1, firing.Prompt, 0].item<double>());
        })));

    // The senders of every step, found again from the parts of all components: the fewest that exceed 70 % of the whole signal, biases included;
    // biases are no senders.
    [Fact]
    public void Senders_are_the_fewest_components_beside_biases_that_exceed_the_share_of_the_whole_signal()
    {
        var model = Models["demo"];
        var prompts = Ioi.Prompts(6).For(model);
        var signals = Signals.Find(model, prompts).Firings.ToDictionary(f => (f.Prompt, $"{f.Head}", f.Destination, f.Source));
        var steps = Circuit.Trace(model, prompts, new() { UpstreamShare = 0.9 }).Steps.Rows
            .GroupBy(s => (Firing: ((int)s["prompt"], (string)s["receiver"], (int)s["destination"], (int)s["source"]), Side: (string)s["side"])).ToList();
        Assert.NotEmpty(steps);
        var upstream = Upstream.Of(model, prompts, [.. steps.Select(step => signals[step.Key.Firing])]);
        var biasesMattered = false;
        foreach (var (step, both) in steps.Zip(upstream))
        {
            var whole = step.Key.Side == "Source" ? both.Source : both.Destination;
            var all = whole.Components.Zip(whole.Parts.Values<double>()).ToList();
            var senders = all.Where(part => !IsBias(part.First)).OrderByDescending(part => part.Second).ToList();
            var (kept, sum) = (new List<string>(), 0.0);
            while (kept.Count < senders.Count && sum <= 0.9 * whole.Total)
            {
                sum += senders[kept.Count].Second;
                kept.Add(senders[kept.Count].First);
            }

            // Where the rest lies with the biases, all that add to the signal send it.
            kept = sum <= 0.9 * whole.Total ? [.. senders.Where(s => s.Second > 0).Select(s => s.First)] : kept;
            Assert.Equal(kept.Order(StringComparer.Ordinal), step.Select(s => (string)s["sender"]).Distinct().Order(StringComparer.Ordinal));
            biasesMattered |= all.Any(part => IsBias(part.First) && part.Second >= all.First(p => p.First == kept[^1]).Second);
        }

        Assert.True(biasesMattered, "No bias was large enough to be mistaken for a sender.");

        static bool IsBias(string component) => component == "constant" || component.StartsWith("b_O", StringComparison.Ordinal);
    }

    [Fact]
    public void Direct_effects_are_the_outputs_of_heads_along_the_difference_of_unembeddings()
    {
        var model = Models["demo"];
        using var scope = NewDisposeScope();
        var (prompts, folded) = (Ioi.Prompts(5).For(model), Circuit.Fold(model));
        var (found, sums) = (Circuit.DirectEffects(model, prompts, batchSize: 2), zeros(model.Config.LayerCount, model.Config.HeadCount));
        foreach (var prompt in prompts.Prompts)
        {
            var pass = folded.Run([.. prompt.Tokens], new Hooks().Keep("blocks.*.attn.hook_result", "ln_final.hook_scale"));
            var last = prompt.Tokens.Count - 1;
            var unembedding = folded.Net.W_U;
            var direction = unembedding[.., prompt.Answer!.Value].sub(unembedding[.., prompt.Distractor!.Value]).div(pass["ln_final.hook_scale"][0, last]);
            foreach (var head in model.Heads)
            {
                sums[head.Layer, head.Index] += pass[$"blocks.{head.Layer}.attn.hook_result"][0, last, head.Index].dot(direction) / 5;
            }
        }

        Assert.True(sums.abs().max().item<float>() > 0.5);
        Assert.True(sums.sub(found).abs().max().item<float>() < 1e-4);
        Assert.Equal(
            model.Heads.Where(h => h.Layer > 0).OrderByDescending(h => sums[h.Layer, h.Index].item<float>()).Take(3), Circuit.Trace(model, prompts).Roots);
    }

    // The last bits of a forward pass may depend on the number of threads and on its batch: decisions may not, numbers hardly.
    [Fact]
    public void Results_do_not_depend_on_threads_or_batches()
    {
        var prompts = Ioi.Prompts(10).For(Models["demo"]);
        var edge = new CircuitEdge("0.1", new(3, 1), SignalSide.Source, "IO", "end");
        var found = ThreadsUnderTest.With([1, 3, 2], () => (
            Trace: Circuit.Trace(Models["demo"], prompts, new() { BatchSize = Parallelism.Threads == 2 ? 3 : 10 }),
            Signals: Signals.Find(Models["demo"], prompts, batchSize: Parallelism.Threads == 2 ? 3 : 10),
            Changed: Intervention.Run(Models["demo"], prompts, [edge], batchSize: Parallelism.Threads == 2 ? 3 : 10)));
        Assert.NotEmpty(found[0].Trace.Edges);
        foreach (var other in found[1..])
        {
            Assert.Equal(found[0].Trace.Edges.Select(Bare), other.Trace.Edges.Select(Bare));
            Assert.Equal(found[0].Trace.Firings, other.Trace.Firings);
            AssertNear(found[0].Trace.Edges.Select(e => e.Total), other.Trace.Edges.Select(e => e.Total));
            Assert.Equal(found[0].Signals.Firings.Select(Set), other.Signals.Firings.Select(Set));
            AssertNear(found[0].Signals.Firings.Select(f => f.Score), other.Signals.Firings.Select(f => f.Score));
            AssertNear(found[0].Changed.LogitDifferences.Values<double>(), other.Changed.LogitDifferences.Values<double>());
            AssertNear(found[0].Changed.Scores.Values<double>(), other.Changed.Scores.Values<double>());
        }

        static CircuitEdge Bare(CircuitEdge edge) => edge with { Total = 0 };

        static string Set(Firing firing) => $"{firing.Prompt} {firing.Head} {firing.Destination} {firing.Source}: {string.Join(' ', firing.Directions)}";

        static void AssertNear(IEnumerable<double> expected, IEnumerable<double> found) =>
            Assert.All(expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, 1e-4 * Math.Max(1, Math.Abs(pair.First))));
    }

    [Fact]
    public void Every_long_call_stops_when_it_is_told_to()
    {
        var (model, prompts) = (Models["demo"], Ioi.Prompts(40));
        var signals = Signals.Find(model, Ioi.Prompts(2));
        var edge = new CircuitEdge("0.1", new(3, 1), SignalSide.Source, "IO", "end");
        Dictionary<string, Action<IProgress<WorkProgress>, CancellationToken>> calls = new(StringComparer.Ordinal)
        {
            ["trace"] = (progress, token) => Circuit.Trace(model, prompts, new() { BatchSize = 4 }, progress, token),
            ["signals"] = (progress, token) => Signals.Find(model, prompts, batchSize: 4, progress: progress, cancellationToken: token),
            ["check"] = (progress, token) => signals.LowRank(model, batchSize: 1, progress: progress, cancellationToken: token),
            ["intervention"] = (progress, token) => Intervention.Run(model, prompts, [edge], batchSize: 4, progress: progress, cancellationToken: token),
            ["patching"] = (progress, token) => ActivationPatching.Run(model, new([1, 2, 3], [], 4, 5), new([1, 9, 3], []), batchSize: 4, progress: progress, cancellationToken: token),
            ["lens"] = (progress, token) => LogitLens.Of(model, [.. Enumerable.Range(1, 100)], progress: progress, cancellationToken: token),
        };
        foreach (var (_, call) in calls)
        {
            using var source = new CancellationTokenSource();
            var reports = new List<long>();
            Assert.ThrowsAny<OperationCanceledException>(() => call(
                new Reported(report =>
                {
                    reports.Add(report.Done);
                    if (reports.Count == 2)
                    {
                        source.Cancel();
                    }
                }),
                source.Token));
            Assert.Equal(2, reports.Count);
        }

        Assert.ThrowsAny<OperationCanceledException>(() => Circuit.DirectEffects(model, prompts, cancellationToken: new(canceled: true)));
        Assert.ThrowsAny<OperationCanceledException>(() => Upstream.Of(model, signals.Prompts, signals.Firings, new(canceled: true)));
    }

    private sealed class Reported(Action<WorkProgress> report) : IProgress<WorkProgress>
    {
        public void Report(WorkProgress value) => report(value);
    }

    private const double Threshold = 0.2;

    private static bool Near(double expected, double found) => Math.Abs(expected - found) <= 2e-3 * Math.Max(1, Math.Abs(expected));

    // Random tokens of three families of models; each position is its own role.
    private static void ForFirings(int tests, Func<Model, PromptSet, IReadOnlyList<Firing>, bool> holds)
    {
        foreach (var family in Families)
        {
            var model = Models[family];
            Check.One(Config.QuickThrowOnFailure.WithMaxTest(tests), Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
            {
                var random = new Random(seed);
                var length = random.Next(4, 9);
                KeyValuePair<string, int>[] roles = [.. Enumerable.Range(0, length).Select(t => new KeyValuePair<string, int>($"t{t}", t))];
                var prompts = new PromptSet("random", [.. Enumerable.Range(0, 3).Select(_ =>
                    new CircuitPrompt([.. Enumerable.Range(0, length).Select(_ => random.Next(model.Config.VocabularySize))], roles))]);
                return holds(model, prompts, Signals.Find(model, prompts, patternThreshold: Threshold).Firings);
            }));
        }
    }
}
