namespace HeadScope;

/// <summary>One step of the trace of one prompt: a component that sent part of the signal of a firing.</summary>
internal readonly record struct Step(Fired Root, Fired Receiver, SignalSide Side, string Sender, double Value, long Repeats);

/// <summary>A firing that a trace may reach.</summary>
internal sealed class Fired(int prompt, int layer, Place place)
{
    /// <summary>The prompt among all; <see cref="Place"/> counts within the pass.</summary>
    public int Prompt => prompt;

    public int Layer => layer;

    public Place Place => place;

    public Head Head => new(layer, place.Head);

    /// <summary>By side, the components that send its signal; null until it is reached.</summary>
    public List<(Component Component, string Name, double Value)>[]? Senders { get; set; }
}

/// <summary>Follows signals back through the prompts of one pass (arXiv 2410.00340, section 6):
/// 1. on each side, the fewest components whose parts together exceed the share of the signal are its senders;
/// 2. each sender is a step;
/// 3. a sender that is a head and fired at that token is followed in turn.
/// All firings that are reached in a layer are decomposed at once, from the top layer down. How often a firing would be met on all ways is
/// counted in the same order, so nothing grows exponentially.</summary>
/// <param name="pass">The pass.</param>
/// <param name="found">Its firings, by source within each destination.</param>
/// <param name="options">How to trace.</param>
internal sealed class SignalWalk(PromptPass pass, IEnumerable<Fired> found, TraceOptions options)
{
    private const long WrittenAtOnce = 1L << 27;
    private static readonly SignalSide[] Sides = [SignalSide.Source, SignalSide.Destination];
    private readonly ILookup<(int Prompt, Head Head, int Destination), Fired> firings = found.ToLookup(f => (f.Place.Prompt, f.Head, f.Place.Destination));
    private readonly (Component Component, string Name)[] components =
        [.. Component.Below(pass.Folded.Model.Config.LayerCount - 1, pass.Folded.Model).Select(c => (c, c.ToString()))];

    /// <summary>The firings of a head at a destination, by source.</summary>
    public IEnumerable<Fired> At(int prompt, Head head, int destination) => firings[(prompt, head, destination)];

    /// <summary>Finds the senders of some firings, and of all that these lead to.</summary>
    public void Follow(IEnumerable<Fired> roots, CancellationToken cancellationToken)
    {
        var perPrompt = (long)pass.Length * components.Length * pass.Folded.Model.Config.ModelWidth;
        var atOnce = (int)Math.Clamp(WrittenAtOnce / perPrompt, 1, pass.Count);
        foreach (var part in roots.GroupBy(root => root.Place.Prompt / atOnce))
        {
            var first = part.Key * atOnce;
            var reached = new HashSet<Fired>(part);
            using var scope = NewDisposeScope();
            var top = reached.Max(f => f.Layer);
            var written = pass.WrittenBelow(top, first, Math.Min(atOnce, pass.Count - first));
            for (var layer = top; layer > 0; layer--)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Fired[] here = [.. reached.Where(f => f.Layer == layer)];
                if (here.Length > 0)
                {
                    FindSenders(layer, here, written, pass.Row(first, 0));
                    reached.UnionWith(here.SelectMany(Followed));
                }
            }
        }
    }

    /// <summary>The steps behind a firing, in the order in which following every way meets them first.</summary>
    public IReadOnlyList<Step> From(Fired root)
    {
        var order = new List<Fired>();
        var repeats = new Dictionary<Fired, long>();
        Visit(root, order, repeats);
        repeats[root] = 1;
        foreach (var firing in order.OrderByDescending(f => f.Layer))
        {
            foreach (var next in Followed(firing))
            {
                repeats[next] = checked(repeats[next] + repeats[firing]);
            }
        }

        return [.. order.SelectMany(firing => Sides.SelectMany(
            side => firing.Senders![(int)side].Select(s => new Step(root, firing, side, s.Name, s.Value, repeats[firing]))))];
    }

    private void Visit(Fired firing, List<Fired> order, Dictionary<Fired, long> repeats)
    {
        if (repeats.TryAdd(firing, 0))
        {
            order.Add(firing);
            foreach (var next in Followed(firing))
            {
                Visit(next, order, repeats);
            }
        }
    }

    private IEnumerable<Fired> Followed(Fired firing) =>
        from side in Sides
        from sender in firing.Senders![(int)side]
        where sender.Component.Kind == ComponentKind.Head
        from next in At(firing.Place.Prompt, new(sender.Component.Layer, sender.Component.Index), firing.Place.Position(side))
        select next;

    private void FindSenders(int layer, Fired[] here, Tensor written, long firstRow)
    {
        using var scope = NewDisposeScope();
        var signals = new LayerSignals(pass, layer, Array.ConvertAll(here, f => f.Place));
        var below = components.TakeWhile(c => c.Component.Layer < layer).Count();
        Array.ForEach(here, firing => firing.Senders = new List<(Component, string, double)>[Sides.Length]);
        foreach (var side in Sides)
        {
            var (parts, constants, scales) = signals.Upstream(side, written.narrow(1, 0, below), firstRow);
            var (all, constant, scale) = (parts.Copied<double>(), constants.Copied<double>(), scales.Copied<double>());
            for (var n = 0; n < here.Length; n++)
            {
                here[n].Senders![(int)side] = Leading(all.AsSpan(n * below, below), constant[n], scale[n]);
            }
        }
    }

    // Those not below the value at which the running sum of the sorted parts passes the share; the positive ones where it never does,
    // because biases, which are no senders, hold the rest.
    private List<(Component, string, double)> Leading(ReadOnlySpan<double> parts, double constant, double scale)
    {
        // The authors' code gives every head the whole constant, divided by the scale, and sums over heads alone.
        var added = options.HeadsWithConstant ? constant / scale : 0;
        var total = options.HeadsWithConstant ? 0 : constant;
        var senders = new List<(Component Component, string Name, double Value)>();
        for (var c = 0; c < parts.Length; c++)
        {
            var (component, name) = components[c];
            var sends = options.HeadsWithConstant ? component.Kind == ComponentKind.Head : component.Kind != ComponentKind.AttentionBias;
            total += sends || !options.HeadsWithConstant ? parts[c] + added : 0;
            if (sends)
            {
                senders.Add((component, name, parts[c] + added));
            }
        }

        double[] sorted = [.. senders.Select(s => s.Value).OrderDescending()];
        var sum = 0.0;
        var passing = Array.FindIndex(sorted, value => (sum += value) > options.UpstreamShare * total);
        var least = passing >= 0 ? sorted[passing] : sorted.LastOrDefault(value => value > 0, sorted[0]);
        senders.RemoveAll(s => s.Value < least);
        return senders;
    }
}
