namespace HeadScope;

/// <summary>How far a long call has come; what notebooks and terminals draw as a progress bar.</summary>
/// <param name="Stage">What is being done, in a few words: <c>scoring heads</c>.</param>
/// <param name="Done">How many units are done.</param>
/// <param name="Total">How many units there are; 0 when it is not known.</param>
/// <param name="Unit">The unit in the plural: <c>heads</c>, <c>bytes</c>, <c>tokens</c>.</param>
/// <param name="Detail">More for the curious, such as the present loss; null for none.</param>
public readonly record struct WorkProgress(string Stage, long Done, long Total, string Unit, string? Detail = null);
