using System.Globalization;

namespace HeadScope;

/// <summary>Merges the traces of many prompts into edges between components and heads at roles (arXiv 2410.00340, section 6).</summary>
/// <param name="prompts">The prompts, whose traces come in order.</param>
/// <param name="countRepeats">Whether a prompt's repetitions count; see <see cref="TraceOptions.CountRepeats"/>.</param>
internal sealed class EdgeMerge(PromptSet prompts, bool countRepeats)
{
    private readonly Dictionary<(string Sender, Head Receiver, string Role), CircuitEdge> edges = [];
    private readonly HashSet<(string Sender, Head Receiver, string Role)> seenInPrompt = [];
    private int prompt = -1;
    private string?[] roles = [];

    /// <summary>The edges, in the order in which they were first seen.</summary>
    public IReadOnlyList<CircuitEdge> Edges => [.. edges.Values];

    /// <summary>Adds the steps of one trace; those at a token without a role are left out.</summary>
    public void Add(IReadOnlyList<Step> steps)
    {
        foreach (var (_, receiver, side, sender, value, repeats) in steps)
        {
            if (receiver.Prompt != prompt)
            {
                seenInPrompt.Clear();
                prompt = receiver.Prompt;
                roles = [.. Enumerable.Range(0, prompts.Prompts[prompt].Tokens.Count).Select(prompts.Prompts[prompt].RoleAt)];
            }

            if (roles[receiver.Place.Position(side)] is not { } role)
            {
                continue;
            }

            var key = (sender, receiver.Head, role);
            var isFirstInPrompt = seenInPrompt.Add(key);
            if (!edges.TryGetValue(key, out var edge))
            {
                edges[key] = new(sender, receiver.Head, side, NameOf(receiver.Place.Source), NameOf(receiver.Place.Destination), value, 1, prompt);
            }
            else if (edge.FirstPrompt != prompt && (countRepeats || isFirstInPrompt))
            {
                var times = countRepeats ? repeats : 1;
                edges[key] = edge with { Total = edge.Total + (times * value), Count = edge.Count + times };
            }
        }
    }

    private string NameOf(int position) => roles[position] ?? position.ToString(CultureInfo.InvariantCulture);
}
