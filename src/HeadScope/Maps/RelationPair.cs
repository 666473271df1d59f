namespace HeadScope;

/// <summary>One pair of a relation, as text without a leading space.</summary>
/// <param name="Source">What the head reads: <c>France</c>.</param>
/// <param name="Target">What it should write: <c>Paris</c>.</param>
public readonly record struct RelationPair(string Source, string Target);
