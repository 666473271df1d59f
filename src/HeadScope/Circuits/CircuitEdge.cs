using System.Globalization;

namespace HeadScope;

/// <summary>An edge of a traced circuit, merged over prompts: a component sends a signal to a head at a token with a role.</summary>
/// <param name="Sender">The component.</param>
/// <param name="Receiver">The head.</param>
/// <param name="Role">The role of the token at which the signal is read.</param>
/// <param name="Side">On which side of the receiver's score it was first seen.</param>
/// <param name="Total">The sum of the values that were counted.</param>
/// <param name="Count">How many were counted.</param>
/// <param name="FirstPrompt">The prompt that showed it first.</param>
/// <param name="SourceRole">The role of the receiver's source token at first sight; its position when it has no role.</param>
/// <param name="DestinationRole">The role of its destination token at first sight; its position when it has no role.</param>
public sealed record CircuitEdge(
    Component Sender,
    Head Receiver,
    string Role,
    SignalSide Side,
    double Total,
    long Count,
    int FirstPrompt,
    string SourceRole,
    string DestinationRole)
{
    /// <summary>Whether both tokens of the receiver had roles at first sight: <see cref="Interventions"/> find the tokens of other prompts by
    /// them, so they can change such edges alone. Elsewhere a position stands for the missing role.</summary>
    public bool HasRoles => !IsPosition(SourceRole) && !IsPosition(DestinationRole);

    /// <summary>The mean value: what the sender adds to the signal.</summary>
    public double Weight => Total / Count;

    private static bool IsPosition(string role) => int.TryParse(role, NumberStyles.None, CultureInfo.InvariantCulture, out _);
}
