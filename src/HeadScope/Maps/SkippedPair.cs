namespace HeadScope;

/// <summary>A pair that was not used, and why.</summary>
/// <param name="Source">The source as text.</param>
/// <param name="Target">The target as text.</param>
/// <param name="Reason">Why: <c>source is 2 tokens</c>.</param>
public readonly record struct SkippedPair(string Source, string Target, string Reason);
