namespace HeadScope;

/// <summary>A relation that was not scored, because too few of its pairs are single tokens for this tokenizer.</summary>
/// <param name="Name">The relation.</param>
/// <param name="Category">Its category.</param>
/// <param name="PairsUsable">How many pairs are single tokens on both sides.</param>
/// <param name="PairsTotal">How many pairs it has.</param>
/// <param name="Reason">Why it was skipped, in words.</param>
public sealed record SkippedRelation(string Name, string Category, int PairsUsable, int PairsTotal, string Reason);
