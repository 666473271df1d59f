using System.Globalization;

namespace HeadScope;

/// <summary>A traced circuit: who sends which signals to whom, at which tokens, merged over prompts.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="PromptSet">The name of the prompts.</param>
/// <param name="PromptCount">How many there were.</param>
/// <param name="Options">How it was traced.</param>
/// <param name="Roots">The heads it begins with.</param>
/// <param name="Edges">The edges, in the order in which they were first seen.</param>
/// <param name="Firings">How often each head fired, over all prompts; heads that never did are left out.</param>
/// <param name="Traces">The trace of each root in each prompt.</param>
/// <param name="EmptyReason">Why there are no edges; null when there are some.</param>
public sealed partial record CircuitTrace(
    string Model,
    string PromptSet,
    int PromptCount,
    TraceOptions Options,
    IReadOnlyList<Head> Roots,
    IReadOnlyList<CircuitEdge> Edges,
    IReadOnlyDictionary<Head, int> Firings,
    IReadOnlyList<PromptTrace> Traces,
    string? EmptyReason)
{
    /// <summary>The senders, then the heads at roles that receive, each once in the order of the edges.</summary>
    public IEnumerable<Component> Senders => Edges.Select(e => e.Sender).Distinct();

    /// <summary>The heads at roles that receive signals, each once, in the order of the edges.</summary>
    public IEnumerable<(Head Head, string Role)> Receivers => Edges.Select(e => (e.Receiver, e.Role)).Distinct();

    /// <summary>The edges that carry most over all prompts: strong ones that most prompts show.</summary>
    /// <param name="count">How many.</param>
    /// <param name="withRoles">Whether only edges count that <see cref="Interventions"/> can change, because both tokens of the receiver have
    /// roles (<see cref="CircuitEdge.HasRoles"/>).</param>
    /// <returns>The edges, greatest <see cref="CircuitEdge.Total"/> first.</returns>
    public IReadOnlyList<CircuitEdge> Top(int count, bool withRoles = false) =>
        [.. Edges.Where(e => !withRoles || e.HasRoles).OrderByDescending(e => e.Total).Take(count)];

    /// <summary>The circuit without weak or rare edges.</summary>
    /// <param name="minimumWeight">The least weight to keep.</param>
    /// <param name="minimumCount">The least count to keep.</param>
    /// <returns>The pruned circuit; with the reason when no edge is left.</returns>
    public CircuitTrace Prune(double minimumWeight, int minimumCount = 1)
    {
        CircuitEdge[] kept = [.. Edges.Where(e => e.Weight >= minimumWeight && e.Count >= minimumCount)];
        var reason = EmptyReason;
        if (kept.Length == 0 && Edges.Count > 0)
        {
            reason = string.Create(
                CultureInfo.InvariantCulture,
                $"None of the {Edges.Count} edges has a weight of {minimumWeight} and a count of {minimumCount} or more.");
        }

        return this with { Edges = kept, EmptyReason = reason };
    }

    /// <inheritdoc/>
    public override string ToString() => EmptyReason
        ?? $"{PromptSet} on {Model}: {Edges.Count} edges from {Senders.Count()} senders to {Receivers.Count()} heads at tokens, "
        + $"{PromptCount} prompts, roots {string.Join(", ", Roots)}";
}
