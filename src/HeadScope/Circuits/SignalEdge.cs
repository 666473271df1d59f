namespace HeadScope;

/// <summary>An edge to intervene on: what a component writes for a head that fires between two roles.</summary>
/// <param name="Sender">The component; null for everything that is written at the token, which can be changed locally only.</param>
/// <param name="Receiver">The head.</param>
/// <param name="Side">On which side of its score.</param>
/// <param name="SourceRole">The role of the source token.</param>
/// <param name="DestinationRole">The role of the destination token.</param>
public sealed record SignalEdge(Component? Sender, Head Receiver, SignalSide Side, string SourceRole, string DestinationRole)
{
    /// <summary>The edge of a traced circuit, at the roles where it was first seen.</summary>
    /// <param name="edge">The edge; <see cref="Interventions"/> refuse it unless <see cref="CircuitEdge.HasRoles"/> holds.</param>
    /// <returns>The edge to intervene on.</returns>
    public static SignalEdge Of(CircuitEdge edge)
    {
        ArgumentNullException.ThrowIfNull(edge);
        return new(edge.Sender, edge.Receiver, edge.Side, edge.SourceRole, edge.DestinationRole);
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(Sender is { } sender ? sender.ToString() : "all")} → {Receiver} ({DestinationRole} → {SourceRole}, {Side.ToString().ToLowerInvariant()})";
}
