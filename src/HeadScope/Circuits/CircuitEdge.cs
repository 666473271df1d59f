namespace HeadScope;

/// <summary>An edge of a circuit: a component sends a signal to a head that fires between two tokens. A trace merges it over prompts by the role of
/// the token at which the signal is read; <see cref="Intervention.Run"/> changes it in the prompts in which the head fires between the two
/// roles.</summary>
/// <param name="Sender">The component: a head, <c>3.5</c>; <c>mlp 3</c>; <c>embedding</c> or <c>position</c>. Null for all that is written at
/// the token, on which only a local intervention is possible.</param>
/// <param name="Receiver">The head.</param>
/// <param name="Side">On which side of the receiver's score the signal is read; of a trace, at first sight.</param>
/// <param name="SourceRole">The role of the receiver's source token at first sight; its position when it has no role.</param>
/// <param name="DestinationRole">The role of its destination token at first sight; its position when it has no role.</param>
/// <param name="Total">The sum of the values that were counted.</param>
/// <param name="Count">How many were counted.</param>
/// <param name="FirstPrompt">The prompt that showed it first.</param>
public sealed record CircuitEdge(
    string? Sender, Head Receiver, SignalSide Side, string SourceRole, string DestinationRole, double Total = 0, long Count = 0,
    int FirstPrompt = 0)
{
    /// <summary>The role of the token at which the signal is read.</summary>
    public string Role => Side == SignalSide.Source ? SourceRole : DestinationRole;

    /// <summary>Whether both tokens of the receiver had roles at first sight: <see cref="Intervention.Run"/> finds the tokens of other prompts by
    /// them, so it can change such edges alone. Elsewhere a position stands for the missing role.</summary>
    public bool HasRoles => !IsPosition(SourceRole) && !IsPosition(DestinationRole);

    /// <summary>The mean value: what the sender adds to the signal.</summary>
    public double Weight => Total / Count;

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Sender ?? "all"} → {Receiver} ({DestinationRole} → {SourceRole}, {Side.ToString().ToLowerInvariant()})";

    /// <summary>Merges the steps of many prompts, in their order, into edges, in the order in which they were first seen (arXiv 2410.00340, section 6);
    /// those at a token without a role are left out. How repetitions count is <see cref="TraceOptions.CountRepeats"/>'s.</summary>
    internal static IReadOnlyList<CircuitEdge> Merge(IEnumerable<Step> steps, PromptSet prompts, bool countRepeats)
    {
        var roles = prompts.Prompts.Select(prompt => Enumerable.Range(0, prompt.Tokens.Count).Select(prompt.RoleAt).ToArray()).ToArray();
        return [.. steps.GroupBy(s => (s.Sender, s.Receiver.Head, Role: roles[s.Receiver.Prompt][s.Receiver.Place.Position(s.Side)])).Where(g => g.Key.Role is not null).Select(same =>
        {
            var (first, place) = (same.First(), same.First().Receiver.Place);
            var prompt = first.Receiver.Prompt;
            var later = countRepeats ? same.Where(s => s.Receiver.Prompt != prompt) : same.DistinctBy(s => s.Receiver.Prompt).Skip(1);
            var counted = later.Select(s => (s.Value, Times: countRepeats ? s.Repeats : 1)).ToArray();
            return new CircuitEdge(
                first.Sender,
                first.Receiver.Head,
                first.Side,
                roles[prompt][place.Source] ?? $"{place.Source}",
                roles[prompt][place.Destination] ?? $"{place.Destination}",
                counted.Aggregate(first.Value, (sum, s) => sum + (s.Times * s.Value)),
                1 + counted.Sum(s => s.Times),
                prompt);
        })];
    }

    private static bool IsPosition(string role) => int.TryParse(role, NumberStyles.None, CultureInfo.InvariantCulture, out _);
}

/// <summary>One of the two tokens that a score is made of.</summary>
public enum SignalSide
{
    /// <summary>The source: the key token, read through the right singular vectors.</summary>
    Source,

    /// <summary>The destination: the query token, read through the left singular vectors.</summary>
    Destination,
}
