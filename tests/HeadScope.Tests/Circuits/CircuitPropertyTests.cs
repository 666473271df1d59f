using FsCheck;
using FsCheck.Fluent;

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
            return own.SequenceEqual(set.Contributions)
                && set.Directions.Distinct().Count() == set.Directions.Count
                && own.Zip(own.Skip(1)).All(pair => sign * pair.First >= sign * pair.Second)
                && contributions.Where((_, k) => !set.Directions.Contains(k)).All(c => sign * c <= sign * own[^1])
                && (set.HasSolution ? sign * set.Remainder < 0 : set.Directions.Count == contributions.Length)
                && (set.Score <= 0 || !set.HasSolution || own.All(c => c > 0))
                && (set.Score == 0 || own.SkipLast(1).Sum() / set.Score <= 1 + 1e-12);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Contributions_of_all_directions_are_the_attention_score() => ForFirings(2, (model, prompts, firings) =>
    {
        var pass = ModelUnderTest.Run(model, [.. prompts.Prompts.Select(p => p.Tokens.ToArray())], "blocks.*.attn.hook_attn_scores");
        return firings.All(firing => Near(
            firing.Signal.Score / Math.Sqrt(model.Config.HeadWidth),
            pass[$"blocks.{firing.Head.Layer}.attn.hook_attn_scores"][firing.Prompt, firing.Head.Index, firing.Destination, firing.Source]));
    });

    [Fact]
    public void Upstream_parts_are_the_projection_of_the_normalised_residual() => ForFirings(2, (model, prompts, firings) =>
    {
        var circuits = new CircuitsUnderTest(model, prompts);
        return SignalUpstream.Of(model, prompts, [.. firings.Take(20)]).All(upstream => new[] { upstream.Source, upstream.Destination }.All(side =>
        {
            var firing = upstream.Firing;
            var signal = circuits.SignalOf(firing, side.Side);
            var residual = circuits.Normalized(firing.Head.Layer, firing.Prompt, side.Position);
            var projection = signal.Length > residual.Length ? signal[^1] : 0;
            for (var i = 0; i < residual.Length; i++)
            {
                projection += signal[i] * residual[i];
            }

            return Near(projection, side.Total) && side.PerSourceToken.All(split => Near(side[split.Key], split.Value.Sum()));
        }));
    });

    [Fact]
    public void Removing_all_directions_of_a_firing_leaves_the_remainder() => ForFirings(2, (model, prompts, firings) =>
        firings.Take(6).All(firing => new[] { SignalSide.Source, SignalSide.Destination }.All(side =>
        {
            var edge = new SignalEdge(null, firing.Head, side, $"t{firing.Source}", $"t{firing.Destination}");
            var result = Interventions.Run(
                model, prompts, [edge], new() { Scope = InterventionScope.Local, PatternThreshold = Threshold });
            return Near(
                firing.Signal.Remainder / Math.Sqrt(model.Config.HeadWidth), result.Prompts[firing.Prompt].After.Edges[0].Score);
        })));

    [Fact]
    public void A_trace_does_not_depend_on_threads_or_batches()
    {
        var traces = ThreadsUnderTest.With([1, 3], () => CircuitTracer.Trace(Models["demo"], Ioi.Prompts(10), new() { BatchSize = 10 }));
        Assert.NotEmpty(traces[0].Edges);
        Assert.Equal(traces[0].ToJson(), traces[1].ToJson());
        var batches = CircuitTracer.Trace(Models["demo"], Ioi.Prompts(10), new() { BatchSize = 3 });
        Assert.Equal(
            traces[0].Edges.Select(e => (e.Sender, e.Receiver, e.Role, e.Count)), batches.Edges.Select(e => (e.Sender, e.Receiver, e.Role, e.Count)));
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
                return holds(model, prompts, Signals.Find(model, prompts, new() { PatternThreshold = Threshold }).Firings);
            }));
        }
    }
}
