namespace HeadScope;

/// <summary>What an intervention does to one prompt.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="ChangedEdges">At how many of the edges the receiver fires; at 0 the prompt is left as it is.</param>
/// <param name="Before">Without a change.</param>
/// <param name="After">With the signal changed.</param>
/// <param name="Control">With as many random directions changed instead.</param>
public sealed record PromptIntervention(
    int Prompt, int ChangedEdges, InterventionMeasurement Before, InterventionMeasurement After, InterventionMeasurement Control);
