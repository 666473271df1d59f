namespace HeadScope;

/// <summary>
/// Another relation in which a relation's heads are ablated, to see that they are not needed for everything. It qualifies when fewer than
/// 0.15 of the relation's heads are also among its own strongest heads and the model's accuracies differ by less than 0.2.
/// </summary>
/// <param name="Relation">The relation.</param>
/// <param name="Template">Its prompt.</param>
/// <param name="HeadIntersection">The share of the ablated heads that are among its own strongest heads.</param>
/// <param name="BaseAccuracy">The model's accuracy without ablation; NaN when the heads alone ruled it out.</param>
/// <param name="Run">The accuracies while the relation's heads are ablated; null when the task does not qualify.</param>
public sealed record ControlTask(string Relation, string Template, float HeadIntersection, float BaseAccuracy, AblationRun? Run)
{
    /// <summary>Whether it qualifies.</summary>
    public bool Qualifies => Run is not null;
}
