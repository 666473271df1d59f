namespace HeadScope;

/// <content>The ways on which signals reach the roots.</content>
public sealed partial record Circuit
{
    /// <summary>The edges on a path to a root, those of the strongest paths first. An edge goes on with what its receiver, at its destination token,
    /// sends. The share of an edge is its part of all that its receiver reads on the same side; the strength of a path is the product of its edges'
    /// shares. So however many of the first edges one takes, each is the beginning of a path of them that ends in a root.</summary>
    /// <returns>Each edge once, with its share and the strength of the strongest path that begins with it. Left out are edges that lead to no root: a
    /// trace merges a head's firings at several destinations into one edge, which stands at the first.</returns>
    public IReadOnlyList<(CircuitEdge Edge, double Share, double Strength)> Paths()
    {
        var into = Edges.ToLookup(e => (e.Receiver.ToString(), e.DestinationRole));
        var read = Edges.GroupBy(e => (e.Receiver, e.DestinationRole, e.Side)).ToDictionary(side => side.Key, side => side.Sum(e => Math.Abs(e.Total)));
        var (paths, reached) = (new List<(CircuitEdge Edge, double Share, double Strength)>(), new HashSet<(string?, string)>());
        var next = new PriorityQueue<(CircuitEdge Edge, double Share, double Strength), (double, int)>();
        foreach (var root in Roots)
        {
            Reach($"{root}", Options.RootDestination, 1);
        }

        while (next.TryDequeue(out var found, out _))
        {
            paths.Add(found);
            Reach(found.Edge.Sender, found.Edge.Role, found.Strength);
        }

        return paths;

        // The strongest path to a sender is met first, as in Dijkstra's search: going on makes no path stronger.
        void Reach(string? sender, string role, double strength)
        {
            if (sender is not null && reached.Add((sender, role)))
            {
                foreach (var edge in into[(sender, role)])
                {
                    var all = read[(edge.Receiver, edge.DestinationRole, edge.Side)];
                    var share = all > 0 ? Math.Abs(edge.Total) / all : 0;
                    next.Enqueue((edge, share, strength * share), (-strength * share, paths.Count + next.Count));
                }
            }
        }
    }
}
