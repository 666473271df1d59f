using TorchSharp;

namespace HeadScope.Notebooks.Tests;

/// <summary>Circuits, firings and measurements as models of any shape might give them.</summary>
internal static class RandomCircuits
{
    private static readonly string[] Roles = ["S1", "S1+1", "IO", "S2", "end"];

    /// <summary>A circuit of some hundred edges between heads, MLPs and the embedding, with two roots, a third that never fires, and edges that lead to no root.</summary>
    public static Circuit Of(int layers, int heads, params string[] roles)
    {
        var (random, edges) = (new Random(7), new List<CircuitEdge>());
        roles = roles.Length > 0 ? roles : Roles;
        var end = roles.Length - 1;
        Head[] roots = [new(layers - 1, 0), new(layers - 1, heads - 1), new(layers - 2, 0)];
        var next = new Queue<(Head Head, int Role)>(roots.Take(2).Select(root => (root, end)));
        var seen = new HashSet<(Head, int)>(next);
        while (next.TryDequeue(out var reads) && edges.Count < 300)
        {
            for (var k = 0; k < 6; k++)
            {
                var side = (SignalSide)random.Next(2);
                var at = side == SignalSide.Source ? random.Next(reads.Role + 1) : reads.Role;
                var layer = random.Next(reads.Head.Layer);
                var head = new Head(layer, random.Next(heads));
                var sender = random.Next(20) == 0 ? "embedding" : random.Next(3) == 0 ? $"mlp {layer}" : $"{head}";
                edges.Add(new(sender, reads.Head, side, roles[side == SignalSide.Source ? at : 0], roles[reads.Role], random.NextDouble() * 10, 1 + random.Next(16)));
                if (sender == $"{head}" && layer > 0 && seen.Add((head, at)))
                {
                    next.Enqueue((head, at));
                }
            }
        }

        edges = [.. edges.DistinctBy(edge => (edge.Sender, edge.Receiver, edge.Role, edge.DestinationRole))];
        edges.Add(new("mlp 0", new(1, 1), SignalSide.Source, roles[0], "elsewhere", 99, 16));
        var firings = Enumerable.Range(1, layers - 1).SelectMany(layer => Enumerable.Range(0, heads), (layer, head) => new Head(layer, head)).Where(head => head != roots[2]).ToDictionary(head => head, _ => random.Next(1, 99));
        return new("SmolLM2-135M-Instruct", "ioi", 16, new() { RootSource = "IO" }, roots, edges, firings, null)
        {
            Roles = roles, RootEffects = roots.ToDictionary(root => root, _ => (random.NextDouble() * 4) - 1),
        };
    }

    /// <summary>Firings of every head above the first layer, some with long and some with odd tokens.</summary>
    public static Signals SignalsOf(int layers, int heads, params string[] tokens)
    {
        var random = new Random(7);
        tokens = tokens.Length > 0 ? tokens : [" the", " Mary", "\n", " internationalisation", ",", "字"];
        var prompt = new CircuitPrompt([.. Enumerable.Range(0, tokens.Length)], [new("end", tokens.Length - 1)]);
        var firings = Enumerable.Range(1, layers - 1).SelectMany(layer => Enumerable.Range(0, heads), (layer, head) => new Head(layer, head)).SelectMany(head => Enumerable.Range(0, 1 + random.Next(6)), (head, _) =>
        {
            var (destination, size) = (random.Next(1, tokens.Length), 1 + random.Next(9));
            return new Firing(0, head, destination, random.Next(destination), 0.8f, 10, [.. Enumerable.Range(random.Next(50), size)], [.. Enumerable.Range(0, size).Select(k => 11.0 / size)], [.. Enumerable.Repeat(1, size)], [.. Enumerable.Repeat(1.0, size)], 0.1, true);
        });
        return new("SmolLM2-135M-Instruct", new("ioi", [prompt]), 0.5, 64, [.. firings], tokens.Index().ToDictionary(token => token.Index, token => token.Item));
    }

    /// <summary>Who wrote the signal of a head in the last layer.</summary>
    public static Upstream UpstreamOf(int layers, int heads, params string[] others)
    {
        string[] components = ["embedding", .. Enumerable.Range(0, layers - 1).SelectMany(layer => Enumerable.Range(0, heads).Select(head => $"{layer}.{head}").Append($"mlp {layer}")), .. others];
        var firing = SignalsOf(layers, heads).Firings[^1];
        return new(firing, SignalSide.Source, 1.5, components, torch.tensor([.. components.Select((_, i) => Math.Sin(i * i))]), torch.zeros(layers, heads, 1, torch.float64));
    }

    /// <summary>What changing edges did in three prompts: states are 0, 10 and 20 and more, so that each number tells where it belongs.</summary>
    public static Intervention InterventionOf(int layers, int heads, int edges = 8)
    {
        CircuitEdge[] changed = [.. Of(layers, heads).Edges.Take(edges)];
        var scores = torch.arange(3, dtype: torch.float64).mul(10).reshape(3, 1, 1).add(torch.arange(3, dtype: torch.float64).reshape(1, 3, 1)).add(torch.arange(edges, dtype: torch.float64).mul(0.1).reshape(1, 1, edges));
        var ones = torch.ones(3, 3, edges, torch.float64);
        return new("SmolLM2-135M-Instruct", changed, 0, false, torch.arange(3, dtype: torch.float64).mul(-1).reshape(3, 1).expand(3, 3), scores, ones, ones, ones, torch.ones(3, edges, torch.@bool));
    }
}
