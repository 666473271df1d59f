namespace HeadScope.Tests;

public class InterventionTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    private static readonly Lazy<(PromptSet Prompts, Circuit Trace)> Traced = new(() =>
    {
        var prompts = Ioi.Prompts(12, seed: 2).For(Demo.Value);
        return (prompts, Circuit.Trace(Demo.Value, prompts));
    });

    private static IReadOnlyList<CircuitEdge> StrongEdges(int count) =>
        [.. Traced.Value.Trace.Edges.OrderByDescending(e => e.Count).Where(e => e.Sender != "position").Take(count)];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_factor_of_1_changes_nothing(bool local)
    {
        var result = Intervention.Run(Demo.Value, Traced.Value.Prompts, StrongEdges(4), factor: 1, local: local);
        Assert.NotEmpty(result.Changed);
        var (before, after, _) = Differences(result);
        Assert.All(before.Zip(after), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Removing_a_signal_lowers_the_score_and_boosting_raises_it_by_as_much_locally(bool local)
    {
        var edge = StrongEdges(1);
        var removed = Intervention.Run(Demo.Value, Traced.Value.Prompts, edge, local: local).Score(0);
        var boosted = Intervention.Run(Demo.Value, Traced.Value.Prompts, edge, factor: 2, local: local).Score(0);
        Assert.True(removed.After.Mean < removed.Before.Mean, $"{removed}");
        Assert.True(boosted.After.Mean > boosted.Before.Mean, $"{boosted}");
        if (local)
        {
            Assert.Equal(boosted.After.Mean - boosted.Before.Mean, removed.Before.Mean - removed.After.Mean, 1e-4);
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
        Assert.NotEmpty(Intervention.Run(Demo.Value, prompts, trace.Top(20, withRoles: true)).Changed);
        var error = Assert.Throws<ArgumentException>(() => Intervention.Run(Demo.Value, prompts, [other]));
        Assert.Contains("withRoles: true", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_control_has_the_norm_of_the_change_and_depends_on_the_seed_alone()
    {
        var edges = StrongEdges(3);
        var first = Intervention.Run(Demo.Value, Traced.Value.Prompts, edges, seed: 4);
        var norms = first.ChangeNorms.Values<double>().Chunk(Traced.Value.Prompts.Count * edges.Count).ToArray();
        Assert.All(norms[1].Zip(norms[2]), pair => Assert.Equal(pair.First, pair.Second, 1e-4 * pair.First));
        var batched = Intervention.Run(Demo.Value, Traced.Value.Prompts, edges, seed: 4, batchSize: 5);
        Assert.All(
            Differences(first).Control.Zip(Differences(batched).Control), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        var other = Intervention.Run(Demo.Value, Traced.Value.Prompts, edges, seed: 5);
        Assert.Contains(Differences(first).Control.Zip(Differences(other).Control), pair => Math.Abs(pair.First - pair.Second) > 1e-4);
        Assert.Equal((Traced.Value.Prompts.Count * 3) + 1, first.ToCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void Bad_edges_are_refused()
    {
        var edge = new CircuitEdge("0.0", new(2, 1), SignalSide.Source, "IO", "end");
        void Refused(CircuitEdge bad, string message, bool local = false) => Assert.Contains(
            message,
            Assert.Throws<ArgumentException>(() => Intervention.Run(Demo.Value, Traced.Value.Prompts, [bad], local: local)).Message,
            StringComparison.Ordinal);
        Refused(edge with { SourceRole = "7" }, "role 7");
        Refused(edge with { Receiver = new(99, 0) }, "does not lead upwards");
        Refused(edge with { Sender = "2.0" }, "does not lead upwards");
        Refused(edge with { Sender = null }, "no sender that can be changed globally");
        Refused(edge with { Sender = "constant" }, "no sender", local: true);
        Refused(edge with { Sender = "head 3" }, "such as 3.5, mlp 3, embedding", local: true);
        Assert.Throws<ArgumentException>(() => Intervention.Run(Demo.Value, Traced.Value.Prompts, []));
    }

    private static (double[] Before, double[] After, double[] Control) Differences(Intervention result) =>
        result.LogitDifferences.Values<double>().Chunk(Traced.Value.Prompts.Count).ToArray() is [var before, var after, var control] ? (before, after, control) : default;
}
