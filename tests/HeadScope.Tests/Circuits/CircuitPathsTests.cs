namespace HeadScope.Tests;

/// <summary>Which edges lie on the way to a root.</summary>
public class CircuitPathsTests
{
    private static readonly Lazy<Model> Demo = new(() => Model.Load("demo"));

    [Fact]
    public void The_strength_of_a_path_is_the_product_of_its_shares_and_strong_paths_come_first()
    {
        var circuit = Of(
            [new(3, 0), new(3, 1)],
            Edge("2.0", 3, 0, SignalSide.Source, "IO", "end", 6), // 6 of 8
            Edge("mlp 1", 3, 0, SignalSide.Source, "IO", "end", 2), // 2 of 8
            Edge("2.1", 3, 0, SignalSide.Destination, "IO", "end", 0.5), // the whole other side, small as it is
            Edge("1.0", 2, 0, SignalSide.Source, "S1", "IO", 30), // 30 of 100, behind 0.75
            Edge("embedding", 2, 0, SignalSide.Source, "S1", "IO", -70), // its size counts
            Edge("1.0", 2, 1, SignalSide.Destination, "S1", "end", 1),
            Edge("2.1", 3, 1, SignalSide.Destination, "IO", "end", 9));
        var paths = circuit.Paths();
        Assert.Equal(
            ["2.1 → 3.0 1 1", "2.1 → 3.1 1 1", "1.0 → 2.1 1 1", "2.0 → 3.0 0.75 0.75", "embedding → 2.0 0.7 0.525", "mlp 1 → 3.0 0.25 0.25", "1.0 → 2.0 0.3 0.225"],
            paths.Select(path => FormattableString.Invariant($"{path.Edge.Sender} → {path.Edge.Receiver} {Math.Round(path.Share, 9)} {Math.Round(path.Strength, 9)}")));
    }

    [Fact]
    public void What_leads_to_no_root_is_left_out()
    {
        var circuit = Of(
            [new(3, 0)],
            Edge("2.0", 3, 0, SignalSide.Source, "IO", "end", 1),
            Edge("1.0", 2, 0, SignalSide.Source, "S1", "S2", 9), // 2.0 at S2, not at IO
            Edge("1.1", 3, 0, SignalSide.Destination, "S1", "S2", 9)); // the root elsewhere
        Assert.Equal("2.0", Assert.Single(circuit.Paths()).Edge.Sender);
        Assert.Empty((circuit with { Roots = [] }).Paths());
    }

    [Fact]
    public void Whatever_number_of_edges_is_taken_each_leads_to_a_root_in_them()
    {
        var circuit = Circuit.Trace(Demo.Value, Ioi.Prompts(8), new() { Roots = [new(3, 0), new(3, 1), new(3, 2)] });
        var paths = circuit.Paths();
        Assert.True(paths.Count > 60);
        Assert.Contains(paths, path => path.Edge.Sender!.StartsWith("mlp", StringComparison.Ordinal));
        Assert.Equal(paths.Select(path => path.Strength).OrderDescending(), paths.Select(path => path.Strength));
        Assert.Equal(paths.Count, paths.DistinctBy(path => path.Edge).Count());
        var connected = circuit.Roots.Select(root => ($"{root}", "end")).ToHashSet();
        foreach (var (edge, share, _) in paths)
        {
            Assert.Contains(($"{edge.Receiver}", edge.DestinationRole), connected);
            Assert.InRange(share, 0, 1);
            connected.Add((edge.Sender!, edge.Role));
        }
    }

    [Fact]
    public void Roots_have_their_direct_effects_and_roles_the_order_of_their_tokens()
    {
        var effects = Circuit.DirectEffects(Demo.Value, Ioi.Prompts(4));
        var chosen = Circuit.Trace(Demo.Value, Ioi.Prompts(4));
        var named = Circuit.Trace(Demo.Value, Ioi.Prompts(4), new() { Roots = [new(3, 2)] });
        Assert.Equal(chosen.Roots.Select(root => (double)effects[root.Layer, root.Index].item<float>()), chosen.Roots.Select(root => chosen.RootEffects[root]));
        Assert.Equal(effects[3, 2].item<float>(), Assert.Single(named.RootEffects).Value, 1e-6);
        Assert.Equal(["S1+1", "S2", "end"], chosen.Roles.Where(role => role is "end" or "S2" or "S1+1"));
        var unanswered = new PromptSet("none", [.. Ioi.Prompts(4).For(Demo.Value).Prompts.Select(prompt => prompt with { Answer = null })]);
        Assert.Empty(Circuit.Trace(Demo.Value, unanswered, new() { Roots = [new(3, 2)] }).RootEffects);
    }

    private static Circuit Of(Head[] roots, params CircuitEdge[] edges) => new("model", "task", 1, new(), roots, edges, new Dictionary<Head, int>(), null);

    // The role is that of the token at which the signal is read: the source's on the source side.
    private static CircuitEdge Edge(string sender, int layer, int head, SignalSide side, string source, string destination, double total) =>
        new(sender, new(layer, head), side, source, destination, total, 1);
}
