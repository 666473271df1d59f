namespace HeadScope.Tests;

public class InterventionTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<(PromptSet Prompts, CircuitTrace Trace)> Traced = new(() =>
    {
        var prompts = Ioi.Prompts(12, seed: 2).For(Demo.Value);
        return (prompts, CircuitTracer.Trace(Demo.Value, prompts));
    });

    private static IReadOnlyList<SignalEdge> StrongEdges(int count) =>
        [.. Traced.Value.Trace.Edges.OrderByDescending(e => e.Count).Where(e => e.Sender.Kind != ComponentKind.PositionEmbedding)
            .Take(count).Select(SignalEdge.Of)];

    [Theory]
    [InlineData(InterventionScope.Global)]
    [InlineData(InterventionScope.Local)]
    public void A_factor_of_1_changes_nothing(InterventionScope scope)
    {
        var result = Interventions.Run(Demo.Value, Traced.Value.Prompts, StrongEdges(4), new() { Scope = scope, Factor = 1 });
        Assert.NotEmpty(result.Changed);
        Assert.All(result.Prompts, p => Assert.Equal(p.Before.LogitDifference, p.After.LogitDifference, 1e-4));
    }

    [Theory]
    [InlineData(InterventionScope.Global)]
    [InlineData(InterventionScope.Local)]
    public void Removing_a_signal_lowers_the_score_and_boosting_raises_it_by_as_much_locally(InterventionScope scope)
    {
        var edge = StrongEdges(1);
        var removed = Interventions.Run(Demo.Value, Traced.Value.Prompts, edge, new() { Scope = scope });
        var boosted = Interventions.Run(Demo.Value, Traced.Value.Prompts, edge, new() { Scope = scope, Factor = 2 });
        Assert.True(removed.Scores(0).After.Mean < removed.Scores(0).Before.Mean, $"{removed.Scores(0)}");
        Assert.True(boosted.Scores(0).After.Mean > boosted.Scores(0).Before.Mean, $"{boosted.Scores(0)}");
        if (scope == InterventionScope.Local)
        {
            Assert.Equal(
                boosted.Scores(0).After.Mean - boosted.Scores(0).Before.Mean,
                removed.Scores(0).Before.Mean - removed.Scores(0).After.Mean,
                1e-4);
        }
    }

    [Fact]
    public void All_edges_with_roles_can_be_changed_and_the_others_are_refused_by_name()
    {
        var (prompts, traced) = Traced.Value;
        var strongest = traced.Top(12);
        Assert.All(strongest, edge => Assert.True(edge.HasRoles));
        var other = strongest[3] with { SourceRole = "7" };
        var trace = traced with { Edges = [other, strongest[3] with { DestinationRole = "11" }, .. strongest] };
        Assert.Equal(14, trace.Top(20).Count);
        Assert.Equal(strongest, trace.Top(20, withRoles: true));
        Assert.NotEmpty(Interventions.Run(Demo.Value, prompts, [.. trace.Top(20, withRoles: true).Select(SignalEdge.Of)]).Changed);
        var error = Assert.Throws<ArgumentException>(() => Interventions.Run(Demo.Value, prompts, [SignalEdge.Of(other)]));
        Assert.Contains("withRoles: true", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_control_has_the_norm_of_the_change_and_depends_on_the_seed_alone()
    {
        var edges = StrongEdges(3);
        var first = Interventions.Run(Demo.Value, Traced.Value.Prompts, edges, new() { Seed = 4 });
        foreach (var prompt in first.Changed)
        {
            foreach (var (after, control) in prompt.After.Edges.Zip(prompt.Control.Edges))
            {
                Assert.Equal(after.ChangeNorm, control.ChangeNorm, 1e-4 * after.ChangeNorm);
            }
        }

        var batched = Interventions.Run(Demo.Value, Traced.Value.Prompts, edges, new() { Seed = 4, BatchSize = 5 });
        Assert.All(first.Prompts.Zip(batched.Prompts), pair => Assert.Equal(pair.First.Control.LogitDifference, pair.Second.Control.LogitDifference, 1e-4));
        var other = Interventions.Run(Demo.Value, Traced.Value.Prompts, edges, new() { Seed = 5 });
        Assert.Contains(first.Changed.Zip(other.Changed), pair => Math.Abs(pair.First.Control.LogitDifference - pair.Second.Control.LogitDifference) > 1e-4);
        Assert.Equal((first.Prompts.Count * 3) + 1, first.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void Bad_edges_are_refused()
    {
        var edge = new SignalEdge(new Head(0, 0), new(2, 1), SignalSide.Source, "IO", "end");
        void Refused(SignalEdge bad, string message, InterventionScope scope = InterventionScope.Global) => Assert.Contains(
            message,
            Assert.Throws<ArgumentException>(() => Interventions.Run(Demo.Value, Traced.Value.Prompts, [bad], new() { Scope = scope })).Message,
            StringComparison.Ordinal);
        Refused(edge with { SourceRole = "7" }, "role 7");
        Refused(edge with { Receiver = new(99, 0) }, "does not lead upwards");
        Refused(edge with { Sender = new Head(2, 0) }, "does not lead upwards");
        Refused(edge with { Sender = null }, "no sender that can be changed globally");
        Refused(edge with { Sender = new Component(ComponentKind.Constant) }, "no sender", InterventionScope.Local);
        Assert.Throws<ArgumentException>(() => Interventions.Run(Demo.Value, Traced.Value.Prompts, []));
    }
}
