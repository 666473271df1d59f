namespace HeadScope;

/// <summary>What one root of one prompt leads back to.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Root">The firing that the trace begins with.</param>
/// <param name="Edges">The steps, each once, in the order of their first appearance.</param>
public sealed record PromptTrace(int Prompt, Firing Root, IReadOnlyList<TracedEdge> Edges);
