namespace HeadScope;

/// <summary>A pair whose target is among the k largest entries of a head's output, or among the k smallest.</summary>
internal readonly record struct HeadHit(int Pair, Head Head, bool IsSuppression);
