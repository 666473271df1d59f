namespace HeadScope;

/// <summary>What one pass over one prompt shows.</summary>
/// <param name="LogitDifference">The logit of the answer minus that of the distractor at the last token; NaN for prompts without.</param>
/// <param name="Edges">What it shows at each edge.</param>
public sealed record InterventionMeasurement(double LogitDifference, IReadOnlyList<EdgeMeasurement> Edges);
