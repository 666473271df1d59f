namespace HeadScope;

/// <summary>Merges the traces of many prompts into edges between components and heads at roles (arXiv 2410.00340, section 6).</summary>
internal sealed class CircuitGraph(EdgeCounting counting)
{
    private readonly Dictionary<(Component Sender, Head Receiver, string Role), CircuitEdge> edges = [];
    private readonly HashSet<(Component Sender, Head Receiver, string Role)> seenInPrompt = [];
    private int lastPrompt = -1;

    /// <summary>The edges, in the order in which they were first seen.</summary>
    public IReadOnlyList<CircuitEdge> Edges => [.. edges.Values];

    /// <summary>Adds the steps of one trace; those at a token without a role are left out.</summary>
    public void Add(PromptTrace trace, CircuitPrompt prompt)
    {
        if (trace.Prompt != lastPrompt)
        {
            seenInPrompt.Clear();
            lastPrompt = trace.Prompt;
        }

        foreach (var step in trace.Edges)
        {
            var firing = step.Firing;
            var position = step.Side == SignalSide.Source ? firing.Source : firing.Destination;
            if (prompt.RoleAt(position) is not { } role)
            {
                continue;
            }

            var key = (step.Sender, firing.Head, role);
            var isFirstInPrompt = seenInPrompt.Add(key);
            if (!edges.TryGetValue(key, out var edge))
            {
                edges[key] = new CircuitEdge(
                    step.Sender, firing.Head, role, step.Side, step.Value, 1, trace.Prompt,
                    NameOf(prompt, firing.Source), NameOf(prompt, firing.Destination));
            }
            else if (edge.FirstPrompt != trace.Prompt && (counting == EdgeCounting.Published || isFirstInPrompt))
            {
                var times = counting == EdgeCounting.Published ? step.Repeats : 1;
                edges[key] = edge with { Total = edge.Total + (times * step.Value), Count = edge.Count + times };
            }
        }
    }

    private static string NameOf(CircuitPrompt prompt, int position) =>
        prompt.RoleAt(position) ?? position.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
