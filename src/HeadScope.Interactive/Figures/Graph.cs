namespace HeadScope;

/// <summary>A node of a drawn graph.</summary>
/// <param name="Id">What edges call it.</param>
/// <param name="Label">What is written on it; any text.</param>
/// <param name="X">Its horizontal place.</param>
/// <param name="Y">Its vertical place.</param>
/// <param name="Kind">Which colour it has: the first kind, the second, …</param>
/// <param name="Hover">What hovering shows besides; any text, null for nothing.</param>
public sealed record GraphNode(string Id, string Label, double X, double Y, int Kind = 0, string? Hover = null);

/// <summary>An edge of a drawn graph.</summary>
/// <param name="From">The node where it begins.</param>
/// <param name="To">The node where it ends.</param>
/// <param name="Weight">How strong it is; the strongest is drawn widest.</param>
/// <param name="Kind">Which colour it has.</param>
/// <param name="Hover">What hovering shows; any text, null for the weight.</param>
public sealed record GraphEdge(string From, string To, double Weight, int Kind = 0, string? Hover = null);
