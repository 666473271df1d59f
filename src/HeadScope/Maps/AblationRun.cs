namespace HeadScope;

/// <summary>One run of ablating heads one after the other.</summary>
/// <param name="Heads">The heads in the order in which they were ablated.</param>
/// <param name="Accuracies">The model's accuracy after the first 0, 1, 2, … heads: one more than there are heads.</param>
public sealed record AblationRun(IReadOnlyList<Head> Heads, IReadOnlyList<float> Accuracies);
