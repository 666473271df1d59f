namespace HeadScope;

/// <summary>
/// Follows signals back from a firing through one prompt (arXiv 2410.00340, section 6):
/// 1. on each side, the fewest components whose parts together exceed the share of the signal are its senders;
/// 2. each sender is a step;
/// 3. a sender that is a head and fired at that token is followed in turn.
/// A firing is expanded once; how often it would be met on all ways is counted from the top layer down, so nothing grows exponentially.
/// </summary>
internal sealed class SignalWalk
{
    private readonly UpstreamReader upstream;
    private readonly TraceOptions options;
    private readonly Dictionary<(Head Head, int Destination), List<Firing>> firings;
    private readonly Dictionary<Firing, List<KeyValuePair<Component, double>>[]> senders = new(ReferenceEqualityComparer.Instance);

    /// <param name="upstream">What the components wrote.</param>
    /// <param name="firings">The firings of one prompt.</param>
    /// <param name="options">How to trace.</param>
    public SignalWalk(UpstreamReader upstream, IEnumerable<Firing> firings, TraceOptions options)
    {
        this.upstream = upstream;
        this.options = options;
        this.firings = firings.GroupBy(f => (f.Head, f.Destination))
            .ToDictionary(g => g.Key, g => g.OrderBy(f => f.Source).ToList());
    }

    /// <summary>The firings of a head at a destination, by source.</summary>
    public IReadOnlyList<Firing> FiringsOf(Head head, int destination) =>
        firings.TryGetValue((head, destination), out var found) ? found : [];

    /// <summary>The steps behind a firing.</summary>
    public IReadOnlyList<TracedEdge> From(Firing root)
    {
        var order = new List<Firing>();
        var repeats = new Dictionary<Firing, long>(ReferenceEqualityComparer.Instance);
        Visit(root, order, repeats);
        repeats[root] = 1;
        foreach (var firing in order.OrderByDescending(f => f.Head.Layer))
        {
            foreach (var next in Followed(firing))
            {
                if (next.Head.Layer >= firing.Head.Layer)
                {
                    throw new InvalidOperationException($"Head {next.Head} cannot have sent a signal to head {firing.Head}.");
                }

                repeats[next] = checked(repeats[next] + repeats[firing]);
            }
        }

        return [.. order.SelectMany(firing => Sides.SelectMany(
            side => SendersOf(firing, side).Select(s => new TracedEdge(firing, s.Key, side, s.Value, repeats[firing]))))];
    }

    private static readonly SignalSide[] Sides = [SignalSide.Source, SignalSide.Destination];

    private void Visit(Firing firing, List<Firing> order, Dictionary<Firing, long> repeats)
    {
        if (!repeats.TryAdd(firing, 0))
        {
            return;
        }

        order.Add(firing);
        foreach (var next in Followed(firing))
        {
            Visit(next, order, repeats);
        }
    }

    private IEnumerable<Firing> Followed(Firing firing) =>
        from side in Sides
        let position = side == SignalSide.Source ? firing.Source : firing.Destination
        from sender in SendersOf(firing, side)
        where sender.Key.Kind == ComponentKind.Head
        from next in FiringsOf(new(sender.Key.Layer, sender.Key.Index), position)
        select next;

    private List<KeyValuePair<Component, double>> SendersOf(Firing firing, SignalSide side)
    {
        if (!senders.TryGetValue(firing, out var kept))
        {
            senders[firing] = kept = [.. Sides.Select(s => options.Senders == Senders.HeadsWithConstant
                ? LeadingHeads(firing, s)
                : LeadingComponents(firing, s))];
        }

        return kept[(int)side];
    }

    private List<KeyValuePair<Component, double>> LeadingHeads(Firing firing, SignalSide side)
    {
        var parts = upstream.HeadsWithConstant(firing, side);
        return Leading(parts, parts.Sum(p => p.Value));
    }

    private List<KeyValuePair<Component, double>> LeadingComponents(Firing firing, SignalSide side)
    {
        var parts = upstream.Parts(firing, side);
        var total = parts.Sum(p => p.Value);
        parts.RemoveAll(p => p.Key.Kind is ComponentKind.AttentionBias or ComponentKind.Constant);
        return Leading(parts, total);
    }

    // Those not below the value at which the running sum of the sorted parts passes the share; the positive ones where it never does,
    // because biases, which are no senders, hold the rest.
    private List<KeyValuePair<Component, double>> Leading(List<KeyValuePair<Component, double>> parts, double total)
    {
        double[] sorted = [.. parts.Select(p => p.Value).OrderDescending()];
        var (sum, least) = (0.0, sorted.LastOrDefault(value => value > 0, sorted[0]));
        foreach (var value in sorted)
        {
            sum += value;
            if (sum > options.UpstreamShare * total)
            {
                least = value;
                break;
            }
        }

        return [.. parts.Where(p => p.Value >= least)];
    }
}
