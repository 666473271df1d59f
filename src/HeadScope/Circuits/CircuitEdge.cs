using System.Globalization;

namespace HeadScope;

/// <summary>
/// An edge of a circuit: a component sends a signal to a head that fires between two tokens. A trace merges it over prompts by the role of
/// the token at which the signal is read; <see cref="Intervention.Run"/> changes it in the prompts in which the head fires between the
/// two roles.
/// </summary>
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
    string? Sender,
    Head Receiver,
    SignalSide Side,
    string SourceRole,
    string DestinationRole,
    double Total = 0,
    long Count = 0,
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

    private static bool IsPosition(string role) => int.TryParse(role, NumberStyles.None, CultureInfo.InvariantCulture, out _);
}
