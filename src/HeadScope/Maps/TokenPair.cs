namespace HeadScope;

/// <summary>A pair of a relation whose source and target are one token each.</summary>
/// <param name="Source">The source as text, without the leading space that was tokenized with it.</param>
/// <param name="Target">The target as text, likewise.</param>
/// <param name="SourceToken">The token of <c>" " + source</c>.</param>
/// <param name="TargetToken">The token of <c>" " + target</c>.</param>
public readonly record struct TokenPair(string Source, string Target, int SourceToken, int TargetToken);
